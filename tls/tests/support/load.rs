//! A worker of the load generator, and its clients against our server.

use std::rc::Rc;

use levee_buf::{Chain, Heap, HeapChain};
use levee_crypto::{Aead, SoftwareAead, Token};
use levee_tls::load::{Client, ClientHandle, ClientOptions, ClientOut};
use levee_tls::{Connection, Counters, Error, Filled};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::Rig;

pub struct LoadRig {
    pub heap: Heap,
    pub aead: Box<dyn Aead<Heap>>,
    pub random: ChaCha20Rng,
    pub counters: Counters,
    pub handle: Rc<ClientHandle>,
    pub keylog: Vec<(String, [u8; 32], Vec<u8>)>,
}

impl LoadRig {
    pub fn new(options: ClientOptions) -> Self {
        Self {
            heap: Heap::new(10_000),
            aead: Box::new(SoftwareAead::new(64)),
            random: ChaCha20Rng::seed_from_u64(11),
            counters: Counters::default(),
            handle: ClientHandle::new(options, 16).unwrap(),
            keylog: Vec::new(),
        }
    }

    pub fn client(&self) -> Client<Heap> {
        Client::new(&self.handle)
    }

    pub fn call<T>(&mut self, call: impl FnOnce(&mut ClientOut<'_, Heap>) -> T) -> T {
        let mut log = |label: &str, random: &[u8; 32], secret: &[u8]| {
            self.keylog.push((label.to_owned(), *random, secret.to_vec()));
        };
        call(&mut ClientOut {
            memory: &self.heap,
            aead: self.aead.as_mut(),
            random: &mut self.random,
            token: Token(9),
            counters: &mut self.counters,
            keylog: Some(&mut log),
        })
    }

    fn turn(&mut self, client: &mut Client<Heap>) -> Result<bool, Error> {
        let (mut moved, mut result) = (false, Ok(()));
        if client.wants_resume() {
            result = result.and(self.call(|out| client.resume(out)));
            moved = true;
        }
        self.aead.flush();
        while let Some((token, finished)) = self.aead.completed() {
            assert_eq!(token, Token(9));
            result = result.and(self.call(|out| client.on_aead(finished, out)));
            moved = true;
        }
        result.map(|()| moved)
    }

    /// Gives `bytes` in one segment and turns until nothing moves.
    pub fn input(&mut self, client: &mut Client<Heap>, bytes: &[u8]) -> Result<(), Error> {
        let chain = self.heap.chain(bytes);
        let mut result = self.call(|out| client.input(chain, out));
        let mut idle = 0;
        // Late engines of these tests answer within ten turns.
        while idle < 10 {
            match self.turn(client) {
                Ok(true) => idle = 0,
                Ok(false) => idle += 1,
                Err(error) => result = result.and(Err(error)),
            }
        }
        result
    }

    /// All wire bytes there are to send, with records of `bytes`.
    pub fn send(&mut self, client: &mut Client<Heap>, bytes: &[u8]) -> Vec<u8> {
        let mut plain = if bytes.is_empty() { HeapChain::default() } else { self.heap.chain(bytes) };
        let mut wire = Vec::new();
        for _ in 0..10_000 {
            match self.call(|out| client.fill(&mut plain, 20_000, out)) {
                Filled::Wire(chain) => wire.extend(chain.to_vec()),
                // An error is the client's to keep.
                Filled::Later => _ = self.turn(client),
                Filled::Nothing => return wire,
            }
        }
        panic!("the client does not come to an end");
    }

    pub fn read(&mut self, client: &mut Client<Heap>) -> Vec<u8> {
        client.read().map_or_else(Vec::new, |chain| chain.to_vec())
    }

    /// The client gives everything back: no segment, slot or session stays.
    pub fn finish(&mut self, mut client: Client<Heap>) {
        client.release(self.aead.as_mut());
        drop(client);
        for _ in 0..10 {
            self.aead.flush();
            while self.aead.completed().is_some() {}
        }
        assert_eq!(self.heap.in_use(), 0, "segments leaked");
        assert_eq!(self.handle.free_slots(), 16, "handshake slots leaked");
        assert_eq!(self.aead.keys(), 0, "sessions leaked");
    }
}

/// Both ends, ours.
pub struct Ends {
    pub load: LoadRig,
    pub client: Client<Heap>,
    pub rig: Rig,
    pub server: Connection<Heap>,
    /// Bytes of a segment on the way to the client.
    pub chunk: usize,
}

impl Ends {
    pub fn new(options: ClientOptions, rig: Rig) -> Self {
        Self::with(LoadRig::new(options), rig)
    }

    pub fn with(load: LoadRig, rig: Rig) -> Self {
        let (client, server) = (load.client(), rig.connection());
        Self { load, client, rig, server, chunk: usize::MAX }
    }

    /// Moves bytes until both sides rest.
    pub fn settle(&mut self) -> Result<(), Error> {
        for _ in 0..100 {
            let wire = self.load.send(&mut self.client, &[]);
            self.rig.input(&mut self.server, &wire)?;
            let back = self.rig.output(&mut self.server);
            for chunk in back.chunks(self.chunk) {
                self.load.input(&mut self.client, chunk)?;
            }
            if wire.is_empty() && back.is_empty() {
                return Ok(());
            }
        }
        panic!("the ends do not come to rest");
    }

    /// `n` bytes each way.
    pub fn transfer(&mut self, n: usize) {
        let sent: Vec<u8> = (0..=250).cycle().take(n).collect();
        let wire = self.load.send(&mut self.client, &sent);
        self.rig.input(&mut self.server, &wire).unwrap();
        assert!(self.rig.read(&mut self.server) == sent, "the server got other bytes: {n}");
        let wire = self.rig.send(&mut self.server, &sent);
        self.load.input(&mut self.client, &wire).unwrap();
        assert!(self.load.read(&mut self.client) == sent, "the client got other bytes: {n}");
    }

    pub fn finish(mut self) -> LoadRig {
        self.rig.finish(self.server);
        self.load.finish(self.client);
        self.load
    }
}
