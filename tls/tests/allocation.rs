//! Once a worker runs, connections never call the allocator: handshakes, records and closing, over packet
//! memory that does not either.

mod support;

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use allocation_counter::measure;
use levee_buf::{Chain, HEADROOM, MAX_ROOM, Memory, Pieces};
use levee_crypto::{Engine, EngineKind, Group, SoftwareAead, Token};
use levee_tls::load::{Client, ClientHandle, ClientOptions, ClientOut};
use levee_tls::{Connection, Counters, Error, Filled, Out, Server, ServerConfig, Version};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use support::client::{Client12, Client13};
use support::hello::{CHANGE_CIPHER_SPEC, DATA, HANDSHAKE, Hello, message, record};
use support::{entries, identities, options};

/// Packet memory made at the start: exclusive segments, at most eight a chain.
#[derive(Clone)]
struct Slab(Rc<RefCell<Vec<Box<[u8]>>>>);

impl Slab {
    fn new(segments: usize) -> Self {
        Self(Rc::new(RefCell::new((0..segments).map(|_| vec![0; HEADROOM + MAX_ROOM].into()).collect())))
    }

    fn chain(&self, bytes: &[u8]) -> SlabChain {
        let mut chain = self.alloc(bytes.len()).unwrap();
        chain.extend(bytes.len()).unwrap().copy_from_slice(bytes);
        chain
    }
}

struct Segment {
    slab: Slab,
    bytes: Option<Box<[u8]>>,
    range: Range<usize>,
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        &self.bytes.as_ref().unwrap()[self.range.clone()]
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.slab.0.borrow_mut().extend(self.bytes.take());
    }
}

#[derive(Default)]
struct SlabChain {
    segments: [Option<Segment>; 8],
}

impl SlabChain {
    fn used(&self) -> usize {
        self.segments.iter().flatten().count()
    }

    fn compact(&mut self) {
        let mut kept = 0;
        for at in 0..self.segments.len() {
            if self.segments[at].as_ref().is_some_and(|segment| !segment.range.is_empty()) {
                self.segments.swap(kept, at);
                kept += 1;
            }
        }
        self.segments[kept..].fill_with(|| None);
    }

    fn locate(&self, mut at: usize) -> Option<(usize, usize)> {
        for (index, segment) in self.segments.iter().flatten().enumerate() {
            if at < segment.range.len() {
                return Some((index, at));
            }
            at -= segment.range.len();
        }
        None
    }
}

impl Memory for Slab {
    type Chain = SlabChain;

    fn alloc(&self, room: usize) -> Option<SlabChain> {
        let bytes = (room <= MAX_ROOM).then(|| self.0.borrow_mut().pop())?;
        let mut chain = SlabChain::default();
        chain.segments[0] =
            Some(Segment { slab: self.clone(), bytes: Some(bytes?), range: HEADROOM..HEADROOM });
        Some(chain)
    }

    fn split_to(&self, chain: &mut SlabChain, at: usize) -> Option<SlabChain> {
        let mut front = SlabChain::default();
        while front.len() < at && !chain.is_empty() {
            let wanted = at - front.len();
            let first = chain.segments[0].as_mut().unwrap();
            if first.range.len() <= wanted {
                let used = front.used();
                front.segments[used] = chain.segments[0].take();
                chain.segments.rotate_left(1);
            } else {
                front.append(self.chain(&first.bytes()[..wanted]));
                first.range.start += wanted;
            }
        }
        Some(front)
    }

    fn reference(&self, _: &mut SlabChain, _: Range<usize>) -> Option<SlabChain> {
        None
    }
}

impl Pieces for SlabChain {
    fn len(&self) -> usize {
        self.segments.iter().flatten().map(|segment| segment.range.len()).sum()
    }

    fn segments(&self) -> usize {
        self.used()
    }

    fn chunk(&self, at: usize) -> &[u8] {
        self.locate(at).map_or(&[], |(index, at)| &self.segments[index].as_ref().unwrap().bytes()[at..])
    }

    fn chunk_mut(&mut self, at: usize) -> Option<&mut [u8]> {
        let (index, at) = self.locate(at)?;
        let segment = self.segments[index].as_mut()?;
        Some(&mut segment.bytes.as_mut()?[segment.range.clone()][at..])
    }

    fn is_exclusive(&self, _: Range<usize>) -> bool {
        true
    }
}

impl Chain for SlabChain {
    fn append(&mut self, mut tail: Self) {
        self.compact();
        for segment in &mut tail.segments {
            let used = self.used();
            if segment.is_some() {
                self.segments[used] = segment.take();
            }
        }
    }

    fn trim_front(&mut self, mut n: usize) {
        for segment in self.segments.iter_mut().flatten() {
            let cut = n.min(segment.range.len());
            segment.range.start += cut;
            n -= cut;
        }
        self.compact();
    }

    fn truncate(&mut self, len: usize) {
        let mut left = len;
        for segment in self.segments.iter_mut().flatten() {
            let keep = left.min(segment.range.len());
            segment.range.end = segment.range.start + keep;
            left -= keep;
        }
        self.compact();
    }

    fn headroom(&self) -> usize {
        self.segments[0].as_ref().map_or(0, |first| first.range.start)
    }

    fn tailroom(&self) -> usize {
        let last = self.segments.iter().flatten().last();
        last.map_or(0, |last| last.bytes.as_ref().unwrap().len() - last.range.end)
    }

    fn prepend(&mut self, n: usize) -> Option<&mut [u8]> {
        let first = self.segments[0].as_mut().filter(|first| first.range.start >= n)?;
        first.range.start -= n;
        let at = first.range.start;
        first.bytes.as_mut()?.get_mut(at..at + n)
    }

    fn extend(&mut self, n: usize) -> Option<&mut [u8]> {
        let last = self.used().checked_sub(1)?;
        let last = self.segments[last].as_mut()?;
        let at = last.range.end;
        let place = last.bytes.as_mut()?.get_mut(at..at + n)?;
        last.range.end += n;
        Some(place)
    }
}

struct Worker {
    slab: Slab,
    engine: Box<dyn Engine>,
    aead: SoftwareAead,
    random: ChaCha20Rng,
    counters: Counters,
    token: Token,
    allocations: u64,
}

impl Worker {
    /// A call with its allocations counted.
    fn call<T>(&mut self, call: impl FnOnce(&mut Out<'_, Slab>) -> T) -> T {
        let mut result = None;
        let mut out = Out {
            memory: &self.slab,
            engine: self.engine.as_mut(),
            aead: &mut self.aead,
            random: &mut self.random,
            token: self.token,
            counters: &mut self.counters,
            keylog: None,
        };
        let counted = measure(|| result = Some(call(&mut out)));
        self.allocations += counted.count_total;
        result.unwrap()
    }

    fn input(&mut self, connection: &mut Connection<Slab>, wire: &[u8]) -> Result<(), Error> {
        let chain = self.slab.chain(wire);
        let mut result = self.call(|out| connection.input(chain, out));
        loop {
            // The engines compute outside of the count: RSA of the portable one allocates.
            self.engine.run();
            let Some((_, done)) = self.engine.completed() else { return result };
            result = result.and(self.call(|out| connection.on_job(done, out)));
        }
    }

    fn send(&mut self, connection: &mut Connection<Slab>, bytes: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        let mut plain = if bytes.is_empty() { SlabChain::default() } else { self.slab.chain(bytes) };
        loop {
            match self.call(|out| connection.fill(&mut plain, 3000, out)) {
                Filled::Wire(chain) => wire.extend(chain.to_vec()),
                Filled::Later | Filled::Nothing => return wire,
            }
        }
    }
}

#[test]
fn connections_do_not_allocate() {
    assert_eq!(measure(|| drop(std::hint::black_box(Box::new(1)))).count_total, 1, "it counts");
    let (entries, keys) = entries(&[&identities().ecdsa, &identities().rsa]);
    let server = Server::new(Arc::new(ServerConfig::new(entries, options()).unwrap()), 2);
    let mut worker = Worker {
        slab: Slab::new(32),
        engine: Box::new(support::engines::seeded(&keys)),
        aead: SoftwareAead::new(16),
        random: ChaCha20Rng::seed_from_u64(1),
        counters: Counters::default(),
        token: Token(0),
        allocations: 0,
    };
    for _ in 0..3 {
        let mut connection = Connection::server(&server);
        let (mut client, hello) = Client13::new(&[Group::X25519]);
        client.transcript = hello.encode();
        // In two segments and two records, so that it is gathered.
        let (a, b) = client.transcript.split_at(100);
        worker.input(&mut connection, &record(HANDSHAKE, a)).unwrap();
        worker.input(&mut connection, &record(HANDSHAKE, b)).unwrap();
        let wire = worker.send(&mut connection, &[]);
        let finished = client.server_flight(&wire);
        let mut wire = client.seal(HANDSHAKE, &finished, 0);
        client.application_keys();
        wire.extend(client.seal(DATA, &[7; 5000], 0));
        wire.extend(client.seal(HANDSHAKE, &message(24, &[1]), 0));
        worker.input(&mut connection, &wire).unwrap();
        assert_eq!(connection.read().unwrap().len(), 5000);
        worker.send(&mut connection, &[8; 9000]);
        connection.close();
        worker.send(&mut connection, &[]);
        assert!(connection.send_closed());
        let counted = measure(|| connection.release(&mut worker.aead));
        assert_eq!(counted.count_total, 0);

        let mut connection = Connection::server(&server);
        let mut client = Client12::new(Hello::tls12().suites(&[0xc02f]));
        worker.input(&mut connection, &record(HANDSHAKE, &client.transcript)).unwrap();
        let wire = worker.send(&mut connection, &[]);
        let (exchange, finished) = client.server_flight(&wire);
        let mut wire = record(HANDSHAKE, &exchange);
        wire.extend(record(CHANGE_CIPHER_SPEC, &[1]));
        wire.extend(client.seal(HANDSHAKE, &finished));
        wire.extend(client.seal(DATA, &[7; 5000]));
        worker.input(&mut connection, &wire).unwrap();
        assert_eq!(connection.read().unwrap().len(), 5000);
        worker.send(&mut connection, &[8; 9000]);
        // And an error, with its alert.
        assert_eq!(worker.input(&mut connection, &[99; 5]), Err(Error::UnknownContentType));
        worker.send(&mut connection, &[]);
        connection.release(&mut worker.aead);
    }
    assert_eq!(worker.allocations, 0);
    assert_eq!((worker.slab.0.borrow().len(), server.free_slots()), (32, 2));
}

/// Handshakes with the hybrid that fill lanes, public-key work included.
#[test]
fn handshakes_in_lanes_do_not_allocate() {
    let (entries, keys) = entries(&[&identities().ecdsa]);
    let server = Server::new(Arc::new(ServerConfig::new(entries, options()).unwrap()), 8);
    let mut worker = Worker {
        slab: Slab::new(64),
        engine: levee_crypto::engine(EngineKind::Batch, &keys, 8).expect("AVX-512 IFMA"),
        aead: SoftwareAead::new(64),
        random: ChaCha20Rng::seed_from_u64(2),
        counters: Counters::default(),
        token: Token(0),
        allocations: 0,
    };
    for _ in 0..3 {
        let mut ends: Vec<_> = (0..8)
            .map(|_| {
                let (mut client, hello) = Client13::new(&[Group::X25519MlKem768, Group::X25519]);
                client.transcript = hello.encode();
                (Connection::server(&server), client)
            })
            .collect();
        for (token, (connection, client)) in ends.iter_mut().enumerate() {
            worker.token = Token(token as u64);
            let wire = record(HANDSHAKE, &client.transcript);
            let (front, back) = wire.split_at(1200);
            for segment in [front, back] {
                let chain = worker.slab.chain(segment);
                worker.call(|out| connection.input(chain, out)).unwrap();
            }
        }
        // The key exchanges, and then the signatures.
        for _ in 0..2 {
            worker.allocations += measure(|| worker.engine.run()).count_total;
            while let Some((token, done)) = worker.engine.completed() {
                worker.token = token;
                let (connection, _) = &mut ends[usize::try_from(token.0).unwrap()];
                worker.call(|out| connection.on_job(done, out)).unwrap();
            }
        }
        for (mut connection, mut client) in ends {
            let wire = worker.send(&mut connection, &[]);
            let finished = client.server_flight(&wire);
            let wire = client.seal(HANDSHAKE, &finished, 0);
            worker.input(&mut connection, &wire).unwrap();
            assert_eq!(connection.handshake().unwrap().group, Group::X25519MlKem768);
            worker.allocations += measure(|| connection.release(&mut worker.aead)).count_total;
        }
    }
    assert_eq!(worker.allocations, 0);
    assert_eq!((worker.slab.0.borrow().len(), server.free_slots(), server.shares().free()), (64, 8, 8));
}

/// A call of a client, with its allocations counted.
fn counted<T>(
    worker: &mut Worker,
    allocations: &mut u64,
    call: impl FnOnce(&mut ClientOut<'_, Slab>) -> T,
) -> T {
    let mut result = None;
    let mut out = ClientOut {
        memory: &worker.slab,
        aead: &mut worker.aead,
        random: &mut worker.random,
        token: Token(0),
        counters: &mut worker.counters,
        keylog: None,
    };
    *allocations += measure(|| result = Some(call(&mut out))).count_total;
    result.unwrap()
}

/// Full handshakes and resumed ones, once there were as many tickets as are kept.
#[test]
fn load_clients_do_not_allocate() {
    let identity = identities().ecdsa.clone();
    let chain = vec![CertificateDer::from(identity.chain[0].clone())];
    let key = PrivateKeyDer::try_from(identity.key).unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.ticketer = aws_lc_rs::Ticketer::new().unwrap();
    let config = Arc::new(config);
    let mut worker = Worker {
        slab: Slab::new(32),
        engine: Box::new(support::engines::seeded(&[])),
        aead: SoftwareAead::new(16),
        random: ChaCha20Rng::seed_from_u64(1),
        counters: Counters::default(),
        token: Token(0),
        allocations: 0,
    };
    for (version, resume) in
        [(Version::Tls13, false), (Version::Tls13, true), (Version::Tls12, false), (Version::Tls12, true)]
    {
        let options = ClientOptions { versions: vec![version], resume, ..ClientOptions::default() };
        let handle = ClientHandle::new(options, 2).unwrap();
        let mut allocations = 0;
        for round in 0..60 {
            // The memory of tickets is made in the first rounds.
            if round == 40 {
                allocations = 0;
            }
            let mut client = Client::new(&handle);
            let mut server = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut sent = false;
            loop {
                let established = client.handshake().is_some();
                let plain =
                    if established && !sent { worker.slab.chain(&[7; 100]) } else { SlabChain::default() };
                sent |= established;
                let mut plain = plain;
                let filled = counted(&mut worker, &mut allocations, |out| client.fill(&mut plain, 3000, out));
                let Filled::Wire(wire) = filled else { break };
                server.read_tls(&mut &wire.to_vec()[..]).unwrap();
                server.process_new_packets().unwrap();
                let mut back = Vec::new();
                while server.wants_write() {
                    server.write_tls(&mut back).unwrap();
                }
                for segment in back.chunks(1448) {
                    let chain = worker.slab.chain(segment);
                    counted(&mut worker, &mut allocations, |out| client.input(chain, out)).unwrap();
                }
            }
            assert!(sent);
            assert_eq!(client.handshake().unwrap().resumed, resume && round > 0);
            allocations += measure(|| client.release(&mut worker.aead)).count_total;
        }
        assert_eq!(allocations, 0, "{version:?}, {resume}");
    }
    assert_eq!(worker.slab.0.borrow().len(), 32);
}
