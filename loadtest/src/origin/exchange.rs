//! One request and its response on a connection.

use std::fmt::Write as _;
use std::io::{self, BufReader, BufWriter, Write};
use std::net::TcpStream;

use super::request::{Body, Request};

/// A request being answered.
pub(super) struct Exchange<'a, 'c> {
    pub(super) request: Request,
    input: &'a mut BufReader<&'c TcpStream>,
    output: BufWriter<&'c TcpStream>,
    /// Status line and fields common to all responses come from here.
    name: &'a str,
    keep_alive: bool,
}

/// How a response says where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// The status forbids a body.
    None,
    Length(u64),
    Chunked,
    Close,
}

/// Size of the buffers that bodies pass through, in bytes.
const BUFFER: usize = 32 << 10;

impl<'a, 'c> Exchange<'a, 'c> {
    pub(super) fn new(
        request: Request,
        input: &'a mut BufReader<&'c TcpStream>,
        output: &'c TcpStream,
        name: &'a str,
    ) -> Self {
        let keep_alive = request.keep_alive;
        Self { request, input, output: BufWriter::with_capacity(BUFFER, output), name, keep_alive }
    }

    /// Sends a response; `fields` are whole lines, `write` gives the body to all methods but HEAD.
    pub(super) fn respond(
        &mut self,
        status: u16,
        fields: &str,
        framing: Framing,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        self.head(status, fields, framing)?;
        if self.request.method == "HEAD" || framing == Framing::None {
            return Ok(());
        }
        if framing == Framing::Chunked {
            let mut chunks = Chunks(&mut self.output);
            write(&mut chunks)?;
            return self.output.write_all(b"0\r\n\r\n");
        }
        write(&mut self.output)
    }

    /// Sends the request's body back as it arrives, framed alike.
    pub(super) fn echo(&mut self) -> io::Result<()> {
        let framing = match self.request.body {
            Body::Ended => Framing::Length(0),
            Body::Exact(length) => Framing::Length(length),
            Body::Chunked { .. } => Framing::Chunked,
        };
        self.proceed()?;
        self.head(200, "Content-Type: application/octet-stream\r\n", framing)?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = self.request.body.read(self.input, &mut buffer)?;
            let piece = &buffer[..read];
            match framing {
                Framing::Chunked if read == 0 => return self.output.write_all(b"0\r\n\r\n"),
                Framing::Chunked => Chunks(&mut self.output).write_all(piece)?,
                _ if read == 0 => return Ok(()),
                _ => self.output.write_all(piece)?,
            }
            self.output.flush()?;
        }
    }

    /// Reads the request's body to its end, handing each piece to `each`.
    pub(super) fn take_body(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        self.proceed()?;
        let mut buffer = vec![0; BUFFER];
        loop {
            match self.request.body.read(self.input, &mut buffer)? {
                0 => return Ok(()),
                read => each(&buffer[..read]),
            }
        }
    }

    /// Sends an interim response.
    pub(super) fn interim(&mut self, status: u16, fields: &str) -> io::Result<()> {
        write!(self.output, "HTTP/1.1 {status} {}\r\n{fields}\r\n", reason(status))?;
        self.output.flush()
    }

    /// Switches protocols, and returns every byte that then comes until the peer ends.
    pub(super) fn tunnel(&mut self, protocol: &str) -> io::Result<()> {
        self.interim(101, &format!("Connection: Upgrade\r\nUpgrade: {protocol}\r\n"))?;
        self.keep_alive = false;
        let mut output = *self.output.get_ref();
        loop {
            let piece = io::BufRead::fill_buf(self.input)?;
            if piece.is_empty() {
                return Ok(());
            }
            output.write_all(piece)?;
            let read = piece.len();
            io::BufRead::consume(self.input, read);
        }
    }

    /// Ends the connection after this exchange.
    pub(super) fn close(&mut self) {
        self.keep_alive = false;
    }

    /// Sends what waits; whether the connection can carry another request.
    pub(super) fn finish(mut self) -> io::Result<bool> {
        self.output.flush()?;
        Ok(self.keep_alive && self.request.body == Body::Ended)
    }

    fn head(&mut self, status: u16, fields: &str, framing: Framing) -> io::Result<()> {
        let mut head = String::with_capacity(256 + fields.len());
        let text = "writing to a string cannot fail";
        write!(
            head,
            "HTTP/1.1 {status} {}\r\nServer: levee-load\r\nX-Origin: {}\r\n",
            reason(status),
            self.name
        )
        .expect(text);
        head.push_str(fields);
        match framing {
            Framing::None => {}
            Framing::Length(length) => write!(head, "Content-Length: {length}\r\n").expect(text),
            Framing::Chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
            Framing::Close => self.keep_alive = false,
        }
        if !self.keep_alive {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        self.output.write_all(head.as_bytes())
    }

    /// RFC 9110 section 10.1.1: a client that expects 100 may wait for it before it sends the body.
    fn proceed(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.request.expect_continue) && self.request.body != Body::Ended {
            self.interim(100, "")?;
        }
        Ok(())
    }
}

/// Makes one chunk of each piece written.
struct Chunks<'a, W: Write>(&'a mut W);

impl<W: Write> Write for Chunks<'_, W> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if piece.is_empty() {
            return Ok(0);
        }
        write!(self.0, "{:x}\r\n", piece.len())?;
        self.0.write_all(piece)?;
        self.0.write_all(b"\r\n")?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        404 => "Not Found",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "",
    }
}
