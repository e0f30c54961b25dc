//! `Table`: from a tuple of addresses and ports to a number, in constant time.
//!
//! Open addressing with linear probing and backward-shift deletion, at most half full, so that lookups
//! touch a cache line or two. The hash is keyed: a peer cannot choose tuples that collide. Memory: 12
//! bytes per number for its tuple and 16 to 32 for its places; nothing is allocated after `new`.

use std::net::Ipv4Addr;

use siphasher::sip::SipHasher13;

/// The addresses and ports of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuple {
    pub(crate) local: Ipv4Addr,
    pub(crate) remote: Ipv4Addr,
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
}

impl Tuple {
    pub(crate) const EMPTY: Self =
        Self { local: Ipv4Addr::UNSPECIFIED, remote: Ipv4Addr::UNSPECIFIED, local_port: 0, remote_port: 0 };

    /// SipHash-1-3 of the tuple and `extra`.
    pub(crate) fn hash(&self, key: HashKey, extra: u64) -> u64 {
        let mut bytes = [0; 20];
        bytes[..4].copy_from_slice(&self.local.octets());
        bytes[4..8].copy_from_slice(&self.remote.octets());
        bytes[8..10].copy_from_slice(&self.local_port.to_ne_bytes());
        bytes[10..12].copy_from_slice(&self.remote_port.to_ne_bytes());
        bytes[12..].copy_from_slice(&extra.to_ne_bytes());
        SipHasher13::new_with_keys(key.0, key.1).hash(&bytes)
    }
}

/// A key of SipHash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HashKey(u64, u64);

impl HashKey {
    /// A key of its own for each `purpose`, from the stack's secret.
    pub(crate) fn derive(secret: &[u8; 32], purpose: u8) -> Self {
        let half = |salt: u8| {
            let (low, high) = secret.split_at(16);
            let key: [u8; 16] = std::array::from_fn(|at| low[at]);
            let mut message = [0; 18];
            message[..16].copy_from_slice(high);
            message[16] = purpose;
            message[17] = salt;
            SipHasher13::new_with_key(&key).hash(&message)
        };
        Self(half(0), half(1))
    }
}

/// The map. Numbers are below the capacity given to `new`, each with at most one tuple.
pub(crate) struct Table {
    places: Vec<Place>,
    tuples: Vec<Tuple>,
    key: HashKey,
    mask: usize,
}

#[derive(Clone, Copy)]
struct Place {
    hash: u32,
    id: u32,
}

const FREE: Place = Place { hash: 0, id: u32::MAX };

impl Table {
    pub(crate) fn new(capacity: usize, key: HashKey) -> Self {
        let places = (capacity * 2).next_power_of_two().max(8);
        Self { places: vec![FREE; places], tuples: vec![Tuple::EMPTY; capacity], key, mask: places - 1 }
    }

    /// The number of `tuple`.
    pub(crate) fn find(&self, tuple: &Tuple) -> Option<u32> {
        let hash = self.hash(tuple);
        let mut at = self.home(hash);
        loop {
            let place = self.places[at];
            if place.id == FREE.id {
                return None;
            }
            if place.hash == hash && self.tuples[place.id as usize] == *tuple {
                return Some(place.id);
            }
            at = (at + 1) & self.mask;
        }
    }

    /// Enters `tuple`, which must not be there, as `id`, which must not be in use.
    pub(crate) fn insert(&mut self, tuple: Tuple, id: u32) {
        debug_assert!(self.find(&tuple).is_none());
        let hash = self.hash(&tuple);
        self.tuples[id as usize] = tuple;
        let mut at = self.home(hash);
        while self.places[at].id != FREE.id {
            at = (at + 1) & self.mask;
        }
        self.places[at] = Place { hash, id };
    }

    /// The tuple of `id`, whatever it last was.
    pub(crate) fn tuple(&self, id: u32) -> &Tuple {
        &self.tuples[id as usize]
    }

    /// Forgets `id`; nothing happens when it is not there.
    pub(crate) fn remove(&mut self, id: u32) {
        let hash = self.hash(&self.tuples[id as usize]);
        let mut hole = self.home(hash);
        while self.places[hole].id != id {
            if self.places[hole].id == FREE.id {
                return;
            }
            hole = (hole + 1) & self.mask;
        }
        let mut at = hole;
        loop {
            at = (at + 1) & self.mask;
            let place = self.places[at];
            if place.id == FREE.id {
                break;
            }
            // A place may move back to the hole when its home does not lie between the two.
            let from_home = at.wrapping_sub(self.home(place.hash)) & self.mask;
            let from_hole = at.wrapping_sub(hole) & self.mask;
            if from_home >= from_hole {
                self.places[hole] = place;
                hole = at;
            }
        }
        self.places[hole] = FREE;
    }

    /// Tuples entered.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.places.iter().filter(|place| place.id != FREE.id).count()
    }

    #[allow(clippy::cast_possible_truncation, reason = "the low half of the hash is meant")]
    fn hash(&self, tuple: &Tuple) -> u32 {
        tuple.hash(self.key, 0) as u32
    }

    const fn home(&self, hash: u32) -> usize {
        hash as usize & self.mask
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn tuple(n: u16) -> Tuple {
        Tuple { local: [10, 0, 0, 1].into(), remote: [10, 0, 1, 1].into(), local_port: 80, remote_port: n }
    }

    proptest! {
        #[test]
        fn behaves_as_a_map(steps in prop::collection::vec((0_u32..40, 0_u16..60), 1..400)) {
            let mut table = Table::new(40, HashKey::derive(&[7; 32], 0));
            let mut model: HashMap<u32, u16> = HashMap::new();
            for (id, port) in steps {
                let tuple_taken = model.iter().find(|(_, have)| **have == port).map(|(id, _)| *id);
                match (model.contains_key(&id), tuple_taken) {
                    (true, _) => {
                        table.remove(id);
                        model.remove(&id);
                    }
                    (false, Some(_)) => table.remove(id),
                    (false, None) => {
                        table.insert(tuple(port), id);
                        model.insert(id, port);
                    }
                }
                for port in 0..60 {
                    let expected = model.iter().find(|(_, have)| **have == port).map(|(id, _)| *id);
                    prop_assert_eq!(table.find(&tuple(port)), expected);
                }
            }
        }
    }

    #[test]
    fn keys_of_different_purposes_differ() {
        let (a, b) = (HashKey::derive(&[7; 32], 0), HashKey::derive(&[7; 32], 1));
        assert_ne!(tuple(1).hash(a, 0), tuple(1).hash(b, 0));
        assert_ne!(tuple(1).hash(a, 0), tuple(1).hash(a, 1));
    }
}
