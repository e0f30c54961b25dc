//! The kernel's crypto API (`AF_ALG`): another socket seals, and the result is sent.
//!
//! AES-128-CBC is not done: it needs a second pass for its MAC, and TLS 1.3 has left it. What the kernel copies
//! is said after `crypto/algif_aead.c` of Linux 6.1, which copies what is to be sealed into the memory of the
//! reader and seals it there.

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use nix::fcntl::{SpliceFFlags, splice, vmsplice};
use nix::sys::socket::{
    AddressFamily, AlgAddr, ControlMessage, MsgFlags, SockFlag, SockType, bind, sendmsg, setsockopt, socket,
    sockopt::{AlgSetAeadAuthSize, AlgSetKey},
};
use nix::unistd::{pipe, read};

use super::Sent;
use super::record::{self, HEADER, KEY, MOST, TAG};
use super::userspace::write_all;

/// `gcm(aes)` of the kernel, with our key.
pub(super) struct KernelApi {
    operation: OwnedFd,
    /// Keeps the key.
    _transform: OwnedFd,
    record: Vec<u8>,
}

impl KernelApi {
    /// # Errors
    /// The kernel's, when it has no such family, no user interface to AEAD, or no AES-GCM.
    pub(super) fn open() -> io::Result<Self> {
        let transform = socket(AddressFamily::Alg, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
        bind(transform.as_raw_fd(), &AlgAddr::new("aead", "gcm(aes)"))?;
        setsockopt(&transform, AlgSetKey::default(), &KEY)?;
        setsockopt(&transform, AlgSetAeadAuthSize, &TAG)?;
        // Not `accept` of the standard library: it asks for the address of the peer, which there is none of.
        let operation = rustix::net::accept(&transform)?;
        Ok(Self { operation, _transform: transform, record: vec![0; HEADER + MOST + TAG] })
    }

    /// Three calls a record: `sendmsg` takes header and plaintext in, `read` gives the record, `send` sends
    /// it. The kernel copies the payload in, to where it is sealed, and into the socket of TCP.
    pub(super) fn send(&mut self, to: SocketAddr, payload: &[u8], size: usize) -> io::Result<Sent> {
        let mut socket = TcpStream::connect(to)?;
        let mut sent = Sent::since(Instant::now());
        for (sequence, plaintext) in (0..).zip(payload.chunks(size)) {
            let header = record::header(plaintext.len());
            let parts = [IoSlice::new(&header), IoSlice::new(plaintext)];
            self.submit(&parts, sequence, MsgFlags::empty())?;
            let record = &mut self.record[..HEADER + plaintext.len() + TAG];
            whole(read(&self.operation, record)?, record.len())?;
            sent.calls += 2 + write_all(&mut socket, record)?;
            sent.copied += 3 * plaintext.len() as u64;
        }
        socket.shutdown(Shutdown::Write)?;
        Ok(sent)
    }

    /// Without a copy into or out of user space, at five calls a record: `sendmsg` for the header,
    /// `vmsplice` for the plaintext's pages, and `splice` into the cipher, out of it, and into TCP's socket.
    /// The kernel copies the payload once, to where it is sealed.
    pub(super) fn splice(&mut self, to: SocketAddr, payload: &[u8], size: usize) -> io::Result<Sent> {
        let socket = TcpStream::connect(to)?;
        let (plain_out, plain_in) = pipe()?;
        let (sealed_out, sealed_in) = pipe()?;
        let mut sent = Sent::since(Instant::now());
        for (sequence, plaintext) in (0..).zip(payload.chunks(size)) {
            let header = record::header(plaintext.len());
            self.submit(&[IoSlice::new(&header)], sequence, MsgFlags::from_bits_retain(libc::MSG_MORE))?;
            sent.calls += 1;
            let pages = [IoSlice::new(plaintext)];
            whole(vmsplice(&plain_in, &pages, SpliceFFlags::empty())?, plaintext.len())?;
            sent.calls += 1;
            sent.calls += move_all(plain_out.as_fd(), self.operation.as_fd(), plaintext.len())?;
            let length = HEADER + plaintext.len() + TAG;
            sent.calls += move_all(self.operation.as_fd(), sealed_in.as_fd(), length)?;
            sent.calls += move_all(sealed_out.as_fd(), socket.as_fd(), length)?;
            sent.copied += plaintext.len() as u64;
        }
        socket.shutdown(Shutdown::Write)?;
        Ok(sent)
    }

    fn submit(&self, parts: &[IoSlice<'_>], sequence: u64, flags: MsgFlags) -> io::Result<()> {
        let nonce = record::nonce(sequence);
        let additional = u32::try_from(HEADER).unwrap_or(u32::MAX);
        let controls = [
            ControlMessage::AlgSetOp(&libc::ALG_OP_ENCRYPT),
            ControlMessage::AlgSetIv(&nonce),
            ControlMessage::AlgSetAeadAssoclen(&additional),
        ];
        let length = parts.iter().map(|part| part.len()).sum();
        whole(sendmsg::<AlgAddr>(self.operation.as_raw_fd(), parts, &controls, flags, None)?, length)
    }
}

/// Moves `length` bytes, and says how many system calls it took.
fn move_all(from: BorrowedFd<'_>, to: BorrowedFd<'_>, length: usize) -> io::Result<u64> {
    let (mut moved, mut calls) = (0, 0);
    while moved < length {
        calls += 1;
        match splice(from, None, to, None, length - moved, SpliceFFlags::SPLICE_F_MOVE)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => moved += more,
        }
    }
    Ok(calls)
}

fn whole(done: usize, length: usize) -> io::Result<()> {
    if done == length {
        return Ok(());
    }
    Err(io::Error::other(format!("the kernel took or gave {done} bytes of a record's {length}")))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn the_kernel_seals_what_user_space_opens() {
        let mut kernel = match KernelApi::open() {
            Ok(kernel) => kernel,
            // Built without AF_ALG, or without AES-GCM behind it.
            Err(error) => {
                let code = error.raw_os_error();
                return assert!(matches!(code, Some(libc::EAFNOSUPPORT | libc::ENOENT)), "{error}");
            }
        };
        let payload: Vec<u8> = (0..100_000_u32).map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[1]).collect();
        for (way, calls) in [(KernelApi::send as fn(&mut _, _, &_, _) -> _, 3), (KernelApi::splice, 5)] {
            for size in [4096, 16_384] {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let to = listener.local_addr().unwrap();
                let receiver = thread::spawn(move || {
                    let mut stream = Vec::new();
                    listener.accept().unwrap().0.read_to_end(&mut stream).unwrap();
                    stream
                });
                let sent: io::Result<Sent> = way(&mut kernel, to, &payload, size);
                let sent = sent.unwrap();
                record::verify(&mut receiver.join().unwrap(), &payload, size).unwrap();
                assert_eq!(sent.calls, calls * payload.len().div_ceil(size) as u64);
            }
        }
    }
}
