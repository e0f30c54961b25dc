//! A backend whose every byte the test decides.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A listener that hands each connection to a script; it closes when dropped.
pub struct Backend {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

/// How often the acceptor looks whether it should end.
const LOOK: Duration = Duration::from_millis(20);

/// How long a script waits for the other side.
const PATIENCE: Duration = Duration::from_secs(20);

impl Backend {
    /// Calls `script` with each connection, on a thread of its own.
    ///
    /// # Panics
    /// When the listener cannot be made to poll.
    #[must_use]
    pub fn new(listener: TcpListener, script: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        listener.set_nonblocking(true).expect("a listener can poll");
        let address = listener.local_addr().expect("it is bound");
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let script = Arc::new(script);
        let acceptor = thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let script = Arc::clone(&script);
                        let serve = move || prepare(&stream).map(|()| script(stream));
                        thread::spawn(serve);
                    }
                    Err(_) => thread::sleep(LOOK),
                }
            }
        });
        Self { address, ended, acceptor: Some(acceptor) }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reads a request's head; the bytes behind it stay unread. `None` when the other side ended before.
    pub fn read_head(stream: &mut TcpStream) -> Option<String> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read(&mut byte).ok()? == 0 {
                return None;
            }
            head.push(byte[0]);
        }
        Some(String::from_utf8_lossy(&head).into_owned())
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))
}
