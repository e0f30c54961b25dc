//! A demo origin: HTTP/1.1 on kernel sockets, one thread a connection, bodies that both ends know.
//!
//! | target | answer |
//! |---|---|
//! | `/` | an HTML page that lists the targets |
//! | `/bytes/N` | N bytes of [`crate::pattern`] with Content-Length and ETag |
//! | `/chunked/N` | the same bytes in chunks |
//! | `/close/N` | the same bytes, ended by closing |
//! | `/cached/N` | storable for `?max-age=S` (60) seconds, 304 to its ETag; `X-Origin-Requests` counts |
//! | `/echo` | the request's body, framed as it came |
//! | `/hash` | SHA-256 of the request's body, in hexadecimal |
//! | `/headers` | the request head as it arrived |
//! | `/status/CODE` | that status, no body |
//! | `/slow?ms=T` | after T milliseconds |
//! | `/drop/N` | announces 2N + 1 bytes, sends N, closes |
//! | `/early-hints` | 103, then 200 |
//! | `/ws` | 101 to an Upgrade, then every byte comes back |
//!
//! It does not defend itself: it is a backend, reached through Levee or from the same machine.

mod exchange;
pub mod party;
mod request;
mod site;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use exchange::Exchange;
use nix::sys::socket::{Backlog, listen};

/// What to serve, and where.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    /// Address and port to listen on.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Name that the X-Origin field of every response carries.
    #[arg(long, default_value = "origin")]
    pub name: String,
    /// Connections served at once; one more is closed as it comes.
    #[arg(long, default_value_t = 4096)]
    pub connections: usize,
}

const EXAMPLES: &str = "\
Examples:
  levee-load origin --listen 10.9.2.2:8080
      the backend of the demonstration";

/// A bound origin.
pub struct Origin {
    listener: TcpListener,
    shared: Arc<Shared>,
}

/// What the connections have in common.
struct Shared {
    options: Options,
    connections: AtomicUsize,
    /// Requests for `/cached/` that reached this origin.
    cached_requests: AtomicU64,
}

/// How long a connection may be silent.
const IDLE: Duration = Duration::from_secs(120);

/// Stack of a connection's thread in bytes; its buffers are on the heap.
const STACK: usize = 256 << 10;

impl Origin {
    /// Binds the listener.
    ///
    /// # Errors
    /// What the kernel says to the bind.
    pub fn bind(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen)?;
        // The standard library's 128 are less than the connections that a proxy opens in one turn.
        listen(&listener, Backlog::MAXCONN)?;
        let shared = Shared { options, connections: AtomicUsize::new(0), cached_requests: AtomicU64::new(0) };
        Ok(Self { listener, shared: Arc::new(shared) })
    }

    /// The address bound, with the port that the kernel chose if none was asked for.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap_or(self.shared.options.listen)
    }

    /// Serves until the listener fails.
    ///
    /// # Errors
    /// What the kernel says to the accept, except that a connection was gone before it was accepted or that
    /// this process has no descriptor left for it.
    pub fn serve(self) -> io::Result<Infallible> {
        const OUT_OF_DESCRIPTORS: i32 = 24;
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => self.spawn(stream),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if error.raw_os_error() == Some(OUT_OF_DESCRIPTORS) => {
                    thread::sleep(Duration::from_millis(10));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn spawn(&self, stream: TcpStream) {
        let shared = Arc::clone(&self.shared);
        if shared.connections.fetch_add(1, Ordering::Relaxed) >= shared.options.connections {
            shared.connections.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let serve = move || {
            // A peer that goes away in the middle is its own affair, and there is nobody to tell.
            let _ = connection(&stream, &shared);
            shared.connections.fetch_sub(1, Ordering::Relaxed);
        };
        if thread::Builder::new().stack_size(STACK).spawn(serve).is_err() {
            self.shared.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Serves requests on one connection until either side ends it.
fn connection(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    let mut input = io::BufReader::with_capacity(64 << 10, stream);
    while let Some(request) = request::read(&mut input)? {
        let mut exchange = Exchange::new(request, &mut input, stream, &shared.options.name);
        site::answer(&mut exchange, shared)?;
        if !exchange.finish()? {
            break;
        }
    }
    Ok(())
}
