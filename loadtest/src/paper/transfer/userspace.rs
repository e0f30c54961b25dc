//! User space: a library seals, a socket sends.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Instant;

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};

use super::Sent;
use super::record::{self, HEADER, MOST, TAG};

/// Seals by aws-lc-rs, and writes each record by one system call.
///
/// The library seals from the payload into the record, which is copied into the kernel. TLS libraries that
/// seal in place copy once more.
pub(super) struct UserSpace {
    key: LessSafeKey,
    record: Vec<u8>,
}

impl UserSpace {
    pub(super) fn new() -> Self {
        Self { key: record::key(), record: vec![0; HEADER + MOST + TAG] }
    }

    pub(super) fn send(&mut self, to: SocketAddr, payload: &[u8], size: usize) -> io::Result<Sent> {
        let mut socket = TcpStream::connect(to)?;
        let mut sent = Sent::since(Instant::now());
        for (sequence, plaintext) in (0..).zip(payload.chunks(size)) {
            let record = &mut self.record[..HEADER + plaintext.len() + TAG];
            let (head, rest) = record.split_at_mut(HEADER);
            let (body, tag) = rest.split_at_mut(plaintext.len());
            head.copy_from_slice(&record::header(plaintext.len()));
            let nonce = Nonce::assume_unique_for_key(record::nonce(sequence));
            self.key
                .seal_out_of_place_scatter(nonce, Aad::from(&*head), plaintext, body, &[], tag)
                .map_err(|_| io::Error::other("aws-lc does not seal"))?;
            sent.calls += write_all(&mut socket, record)?;
            sent.copied += plaintext.len() as u64;
        }
        socket.shutdown(Shutdown::Write)?;
        Ok(sent)
    }
}

/// Writes all, and says how many system calls it took.
pub(super) fn write_all(socket: &mut TcpStream, mut bytes: &[u8]) -> io::Result<u64> {
    let mut calls = 0;
    while !bytes.is_empty() {
        calls += 1;
        match socket.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(calls)
}
