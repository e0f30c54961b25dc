//! What stands around a connection in place of a worker of the proxy: engines, memory, a blocking socket.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, TcpStream};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use levee_buf::{Chain, Heap, HeapChain};
use levee_crypto::{Aead, Engine, EngineKind, KeyId, PrivateKey, SoftwareAead, SystemRandom, Token, engine};
use levee_tls::{CertificateEntry, Connection, Counters, Error, Filled, Options, Out, Server, ServerConfig};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::settings::{Credential, Refused, Settings};

/// Engines and memory of one connection.
pub(crate) struct Worker {
    pub(crate) heap: Heap,
    pub(crate) counters: Counters,
    pub(crate) server: Rc<Server<Heap>>,
    engine: Box<dyn Engine>,
    aead: SoftwareAead,
}

/// The connection to the runner.
pub(crate) struct Socket {
    stream: TcpStream,
    /// The most bytes that are read at a time.
    most: usize,
}

impl Worker {
    /// A server that offers what `settings` say, if it can.
    pub(crate) fn new(settings: &Settings) -> Result<Self, Refused> {
        let (mut entries, mut keys) = (Vec::new(), Vec::new());
        for (index, credential) in (0..).zip(&settings.credentials) {
            let (chain, key) = read(credential)?;
            entries.push(CertificateEntry { chain, key: KeyId(index) });
            keys.push(key);
        }
        let mut options = Options { versions: settings.versions.clone(), ..Options::default() };
        options.alpn.extend(settings.protocol.as_ref().map(|name| name.as_bytes().to_vec()));
        if !settings.groups.is_empty() {
            options.groups.clone_from(&settings.groups);
        }
        let config = ServerConfig::new(entries, options).map_err(|error| Refused(format!("{error:?}")))?;
        let engine = engine(EngineKind::Auto, &keys, 4).map_err(|error| Refused(error.to_string()))?;
        Ok(Self {
            heap: Heap::new(10_000),
            counters: Counters::default(),
            server: Server::new(Arc::new(config), 1),
            engine,
            aead: SoftwareAead::new(8),
        })
    }

    /// Calls with an `Out`.
    pub(crate) fn call<T>(&mut self, call: impl FnOnce(&mut Out<'_, Heap>) -> T) -> T {
        call(&mut Out {
            memory: &self.heap,
            engine: self.engine.as_mut(),
            aead: &mut self.aead,
            random: &mut SystemRandom,
            token: Token(0),
            counters: &mut self.counters,
            keylog: None,
        })
    }

    /// Gives received bytes to the connection, and what they set off.
    pub(crate) fn input(&mut self, connection: &mut Connection<Heap>, bytes: &[u8]) -> Result<(), Error> {
        let chain = self.heap.chain(bytes);
        self.call(|out| connection.input(chain, out))?;
        self.engine.run();
        while let Some((_, done)) = self.engine.completed() {
            self.call(|out| connection.on_job(done, out))?;
            self.engine.run();
        }
        Ok(())
    }

    /// The wire bytes of what there is to send, and of `plain`.
    pub(crate) fn output(&mut self, connection: &mut Connection<Heap>, plain: &[u8]) -> Vec<u8> {
        let mut plain = if plain.is_empty() { HeapChain::default() } else { self.heap.chain(plain) };
        let mut wire = Vec::new();
        while let Filled::Wire(chain) = self.call(|out| connection.fill(&mut plain, usize::MAX, out)) {
            wire.extend(chain.to_vec());
        }
        wire
    }

    pub(crate) fn release(&mut self, connection: &mut Connection<Heap>) {
        connection.release(&mut self.aead as &mut dyn Aead<Heap>);
    }
}

fn read(credential: &Credential) -> Result<(Vec<Vec<u8>>, PrivateKey), Refused> {
    let text = |path: &Path| fs::read(path).map_err(|error| Refused(format!("{}: {error}", path.display())));
    let certificates = CertificateDer::pem_slice_iter(&text(&credential.chain)?)
        .map(|certificate| certificate.map(|certificate| certificate.to_vec()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Refused(format!("the certificates: {error}")))?;
    let key = PrivateKey::from_pem(&text(&credential.key)?)
        .map_err(|error| Refused(format!("the key: {error}")))?;
    Ok((certificates, key))
}

impl Socket {
    /// Connects to the runner and says who comes.
    pub(crate) fn connect(settings: &Settings) -> io::Result<Self> {
        let mut stream = if settings.ipv6 {
            TcpStream::connect((Ipv6Addr::LOCALHOST, settings.port))?
        } else {
            TcpStream::connect((Ipv4Addr::LOCALHOST, settings.port))?
        };
        stream.set_nodelay(true)?;
        stream.write_all(&settings.shim_id.to_le_bytes())?;
        Ok(Self { stream, most: if settings.slow { 1 } else { 16_384 } })
    }

    /// Bytes of the peer; none when it is gone.
    pub(crate) fn read(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; self.most];
        let length = self.stream.read(&mut bytes).unwrap_or(0);
        bytes.truncate(length);
        bytes
    }

    /// A peer that is gone is noticed when reading.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Ends the stream so that all that was written arrives: what the peer still sends is read first, or the kernel
    /// would answer it with a reset.
    pub(crate) fn end(mut self) {
        if self.stream.shutdown(Shutdown::Write).is_ok() {
            let _ = io::copy(&mut self.stream, &mut io::sink());
        }
    }
}
