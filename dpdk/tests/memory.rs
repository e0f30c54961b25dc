//! Chains of mbufs against chains on the heap: the same operations, the same bytes.

mod support;

use std::collections::VecDeque;

use levee_buf::{Chain as _, Heap, HeapChain, MAX_ROOM, Memory, Pieces, ROOM};
use levee_dpdk::{Chain, Pool, Sizes, ring};
use support::Numbers;

const SEQUENCES: u64 = 5_000;
const STEPS: usize = 40;

/// A few chains, each twice.
struct Pair {
    pool: Pool,
    heap: Heap,
    chains: Vec<(Chain, HeapChain)>,
    next_byte: u8,
}

impl Pair {
    fn fill(&mut self, place: &mut [u8], oracle: &mut [u8]) {
        assert_eq!(place.len(), oracle.len());
        for (a, b) in place.iter_mut().zip(oracle) {
            self.next_byte = self.next_byte.wrapping_mul(5).wrapping_add(17);
            (*a, *b) = (self.next_byte, self.next_byte);
        }
    }

    fn step(&mut self, numbers: &mut Numbers) {
        let index = numbers.below(self.chains.len());
        let (mut chain, mut oracle) = self.chains.swap_remove(index);
        let len = chain.len();
        let somewhere = numbers.below(len + 20);
        let width = numbers.below(200);
        match numbers.below(13) {
            0 => {
                let room = [0, 1, ROOM, MAX_ROOM][numbers.below(4)];
                let fresh = (self.pool.alloc(room).expect("memory"), self.heap.alloc(room).expect("memory"));
                assert!(fresh.0.tailroom() >= room && fresh.0.headroom() == levee_buf::HEADROOM);
                self.chains.push(fresh);
            }
            1 => {
                let n = width.min(chain.headroom()).min(oracle.headroom());
                if let (Some(place), Some(other)) = (chain.prepend(n), oracle.prepend(n)) {
                    self.fill(place, other);
                }
            }
            2 | 3 => {
                let n = numbers.below(3000).min(chain.tailroom()).min(oracle.tailroom());
                if let (Some(place), Some(other)) = (chain.extend(n), oracle.extend(n)) {
                    self.fill(place, other);
                }
            }
            4 => {
                let bytes: Vec<u8> = (0..=255).cycle().take(numbers.below(5000)).collect();
                self.pool.push(&mut chain, &bytes).expect("memory");
                self.heap.push(&mut oracle, &bytes).expect("memory");
            }
            5 => {
                chain.trim_front(somewhere);
                oracle.trim_front(somewhere);
            }
            6 => {
                chain.truncate(somewhere);
                oracle.truncate(somewhere);
            }
            7 | 8 => {
                let front = self.pool.split_to(&mut chain, somewhere).expect("memory");
                let other = self.heap.split_to(&mut oracle, somewhere).expect("memory");
                self.chains.push((front, other));
            }
            9 => {
                let range = somewhere..somewhere + width;
                let second = self.pool.reference(&mut chain, range.clone()).expect("memory");
                let other = self.heap.reference(&mut oracle, range).expect("memory");
                self.chains.push((second, other));
            }
            10 | 11 => {
                if let Some((tail, other)) = self.chains.pop() {
                    chain.append(tail);
                    oracle.append(other);
                }
            }
            _ => {
                let range = somewhere..somewhere + width;
                if chain.is_exclusive(range.clone()) && oracle.is_exclusive(range.clone()) {
                    let mut written = Vec::new();
                    assert!(chain.for_each_mut(range.clone(), &mut |piece| {
                        piece.iter_mut().for_each(|byte| *byte = byte.wrapping_add(1));
                        written.extend_from_slice(piece);
                    }));
                    let mut from = written.as_slice();
                    assert!(oracle.for_each_mut(range, &mut |piece| {
                        let (now, rest) = from.split_at(piece.len());
                        piece.copy_from_slice(now);
                        from = rest;
                    }));
                    assert!(from.is_empty());
                }
            }
        }
        self.chains.push((chain, oracle));
    }

    fn check(&self) {
        for (chain, oracle) in &self.chains {
            let bytes = oracle.to_vec();
            assert_eq!(chain.len(), oracle.len());
            assert_eq!(chain.to_vec(), bytes);
            let mut pieces = Vec::new();
            let mut count = 0;
            chain.for_each(0..chain.len(), &mut |piece| {
                pieces.extend_from_slice(piece);
                count += 1;
            });
            assert_eq!(pieces, bytes);
            assert!(chain.segments() == count || chain.segments() == count + 1);
            // What the heap allows may be refused after a split, never the other way round.
            for at in [0, chain.len() / 2, chain.len().saturating_sub(1)] {
                let range = at..at + 1;
                assert_eq!(chain.is_exclusive(range.clone()), oracle.is_exclusive(range));
                assert_eq!(chain.chunk(at).first(), oracle.chunk(at).first());
            }
            assert_eq!(chain.chunk(chain.len()), b"");
            if oracle.headroom() == 0 {
                assert_eq!(chain.headroom(), 0);
            }
            if oracle.tailroom() == 0 {
                assert_eq!(chain.tailroom(), 0);
            }
        }
    }
}

#[test]
fn a_chain_of_mbufs_is_a_chain() {
    let eal = support::eal(&[]);
    let pool = support::pool(&eal, "memory");
    for seed in 0..SEQUENCES {
        let numbers = &mut Numbers::new(seed);
        let mut pair = Pair {
            pool: pool.clone(),
            heap: Heap::new(100_000),
            chains: (0..3).map(|_| Default::default()).collect(),
            next_byte: 0,
        };
        for _ in 0..STEPS {
            pair.step(numbers);
            pair.check();
        }
        drop(pair);
        assert_eq!(pool.in_use(), 0, "leak in sequence {seed}");
    }
    exhaustion_leaves_chains_whole(&pool);
    two_threads_share_a_buffer(&eal, &pool);
    a_ring_carries_chains(&eal, &pool);
    a_crowd_reads_one_buffer(&eal);
    assert_eq!(pool.in_use(), 0);
}

/// More readers than DPDK's count of 16 bits holds: those too many get copies.
fn a_crowd_reads_one_buffer(eal: &levee_dpdk::Eal) {
    const READERS: usize = 70_000;
    const PLACES: usize = 65_000;
    let sizes = Sizes { segments: 16_383, records: 63, references: 131_071, cache: 128 };
    let pool = Pool::create(eal, "crowd", sizes, None).expect("memory for a pool");
    let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
    let mut chain = Chain::default();
    pool.push(&mut chain, &bytes).expect("memory");
    let reader = |_| pool.reference(&mut chain, 10..900).expect("memory");
    let mut readers: Vec<Chain> = (0..READERS).map(reader).collect();
    assert!(pool.usage().references < PLACES, "{:?}", pool.usage());
    let Some(last) = readers.last_mut() else { unreachable!("there are readers") };
    assert!(pool.split_to(&mut chain, 5).is_none(), "a cut would be one more over the buffer");
    assert_eq!(last.to_vec(), bytes[10..900]);
    let of_reader = pool.reference(&mut readers[0], 0..8).expect("memory");
    assert_eq!(of_reader.to_vec(), bytes[10..18]);

    drop(chain);
    assert!(readers.iter().all(|reader| reader.to_vec() == bytes[10..900]));
    drop((readers, of_reader));
    assert_eq!(pool.in_use(), 0);
}

fn a_ring_carries_chains(eal: &levee_dpdk::Eal, pool: &Pool) {
    const CHAINS: usize = 20_000;
    let (mut producer, mut consumer) = ring::<(u64, Chain)>(eal, "chains", 100).expect("a ring");
    assert!(ring::<(u64, Chain)>(eal, "chains", 100).is_err(), "the name is taken");
    assert!(ring::<u8>(eal, "bytes", 100).is_err(), "not a multiple of four bytes");
    let worker = eal
        .launch(eal.cpus()[0], "consumer", move || {
            let mut came: Vec<(u64, Chain)> = Vec::with_capacity(50);
            let mut next = 0;
            while next < CHAINS {
                assert!(consumer.pop_burst(&mut came) <= 50);
                for (number, chain) in came.drain(..) {
                    assert_eq!((number, chain.to_vec()), (next as u64, number.to_be_bytes().to_vec()));
                    next += 1;
                }
                std::thread::yield_now();
            }
            consumer
        })
        .expect("a worker");
    let mut waiting = VecDeque::new();
    for number in 0..CHAINS as u64 {
        let mut chain = Chain::default();
        pool.push(&mut chain, &number.to_be_bytes()).expect("memory");
        waiting.push_back((number, chain));
        while waiting.len() > 40 && !worker.is_finished() {
            producer.push_burst(&mut waiting);
            std::thread::yield_now();
        }
    }
    while !waiting.is_empty() && !worker.is_finished() {
        producer.push_burst(&mut waiting);
    }
    let consumer = worker.join().expect("all came in order");
    // 127 fit; what nobody took is freed with the ring.
    let mut fit = 0;
    while producer.push((0, pool.alloc(1).expect("memory"))).is_ok() {
        fit += 1;
    }
    assert_eq!(fit, 127);
    drop((producer, consumer));
    assert!(ring::<u32>(eal, "chains", 1).is_ok(), "the name is free again");
}

fn exhaustion_leaves_chains_whole(pool: &Pool) {
    let mut chain = Chain::default();
    pool.push(&mut chain, &[7; 5000]).expect("memory");
    let mut held = Vec::new();
    while let Some(second) = pool.reference(&mut chain, 0..1) {
        held.push(second);
    }
    assert!(pool.split_to(&mut chain, 100).is_none());
    assert!(pool.reference(&mut chain, 0..5000).is_none());
    assert_eq!(chain.to_vec(), [7; 5000]);
    // A cut between segments needs no memory.
    let first = chain.chunk(0).len();
    let front = pool.split_to(&mut chain, first).expect("no memory is needed");
    assert_eq!((front.len(), chain.len()), (first, 5000 - first));
    assert!(pool.exhausted() >= 3);
    held.clear();
    let mut all = Vec::new();
    while let Some(segment) = pool.alloc(MAX_ROOM) {
        all.push(segment);
    }
    assert_eq!(pool.usage().records, 255);
    assert!(pool.alloc(ROOM + 1).is_none());
    all.clear();
    assert!(pool.alloc(ROOM + 1).is_some());
    assert!(pool.alloc(MAX_ROOM + 1).is_none());
}

fn two_threads_share_a_buffer(eal: &levee_dpdk::Eal, pool: &Pool) {
    let (give, take) = std::sync::mpsc::channel::<(Chain, Chain)>();
    let worker = eal
        .launch(eal.cpus()[0], "sharer", move || {
            let mut sum = 0;
            for (front, mut back) in take {
                sum += front.len();
                back.for_each_mut(0..usize::MAX, &mut |piece| piece.fill(1));
            }
            sum
        })
        .expect("a worker");
    for _ in 0..2000 {
        let mut chain = Chain::default();
        pool.push(&mut chain, &[9; 4000]).expect("memory");
        let mut front = pool.split_to(&mut chain, 1000).expect("memory");
        let copy = pool.reference(&mut front, 0..1000).expect("memory");
        give.send((copy, chain)).expect("the worker waits");
        assert!(front.to_vec().iter().all(|&byte| byte == 9));
    }
    drop(give);
    assert_eq!(worker.join().expect("no panic"), 2000 * 1000);
}
