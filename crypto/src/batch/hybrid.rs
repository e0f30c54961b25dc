//! Exchanges of X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem): X25519 in lanes, then ML-KEM-768, eight at a time.

use rand_core::CryptoRng;

use super::curves::{Curve, Curve25519, MOST, Secrets};
use super::jobs::{Exchanged, Work};
use super::lanes::LANES;
use super::lots::Ticket;
use super::mlkem::{self, Ciphertext, EncapsulationKey};
use crate::{Done, Failure, Group, Secret, Share};

/// Stands in for what a peer should have sent; what is encapsulated to it goes nowhere.
static NO_KEY: EncapsulationKey = [0; _];

impl<R: CryptoRng> Work<'_, R> {
    /// Exchanges with at most [`MOST`] `peers`, whose rooms carry the answers.
    pub(super) fn exchange_hybrid(&mut self, tickets: &[Ticket], peers: &mut [Share]) {
        let mut points = [Curve25519::NONE; MOST];
        for (point, peer) in points.iter_mut().zip(peers.iter()) {
            *point = parts(peer).map_or(Curve25519::NONE, |(_, point)| *point);
        }
        let exchanged = self.exchanged::<Curve25519>(&points[..peers.len().min(MOST)]);
        for (eight, (tickets, peers)) in tickets.chunks(LANES).zip(peers.chunks_mut(LANES)).enumerate() {
            self.encapsulate(tickets, peers, &exchanged, eight * LANES);
        }
    }

    /// One exchange after the other, with pairs made ahead if there are any.
    pub(super) fn exchange_hybrid_alone(&mut self, tickets: &[Ticket], peers: &mut [Share]) {
        for (ticket, peer) in tickets.iter().zip(peers) {
            let mut exchanged = Exchanged::<Curve25519>::default();
            if let Some((_, point)) = parts(peer)
                && let Some(share) = Share::new(Group::X25519, point)
                && let Done::Exchanged { share, secret } = self.exchanged_alone::<Curve25519>(share)
            {
                exchanged.publics[0].copy_from_slice(share.bytes());
                exchanged.shared[0].copy_from_slice(secret.bytes());
                exchanged.valid[0] = true;
            }
            self.encapsulate(std::slice::from_ref(ticket), std::slice::from_mut(peer), &exchanged, 0);
        }
    }

    /// Adds the half of ML-KEM for at most eight `peers`, whose X25519 stands in `exchanged` from `first` on.
    fn encapsulate(
        &mut self,
        tickets: &[Ticket],
        peers: &mut [Share],
        exchanged: &Exchanged<Curve25519>,
        first: usize,
    ) {
        let count = peers.len().min(LANES);
        let (mut messages, mut secrets) = (Secrets::default(), Secrets::default());
        self.random.fill_bytes(messages[..count].as_flattened_mut());
        let mut ciphertexts: [Ciphertext; LANES] = [[0; _]; LANES];
        let mut valid = [false; LANES];
        let keys: [_; LANES] =
            std::array::from_fn(|at| peers.get(at).and_then(parts).map_or(&NO_KEY, |(key, _)| key));
        mlkem::encapsulate(
            self.cpu,
            &keys[..count],
            &messages[..count],
            &mut ciphertexts.each_mut()[..count],
            &mut secrets[..count],
            &mut valid[..count],
        );
        for (index, (ticket, peer)) in tickets.iter().zip(peers).enumerate() {
            let at = first + index;
            let done = match valid[index] && exchanged.valid[at] {
                true => answer(peer, &ciphertexts[index], &secrets[index], exchanged, at),
                false => None,
            };
            self.answer(ticket, done.unwrap_or(Done::Failed(Failure::InvalidShare)));
        }
    }
}

fn answer(
    peer: &mut Share,
    ciphertext: &Ciphertext,
    encapsulated: &[u8; 32],
    exchanged: &Exchanged<Curve25519>,
    at: usize,
) -> Option<Done> {
    let secret = Secret::hybrid(encapsulated, &exchanged.shared[at])?;
    Some(Done::Exchanged { share: peer.answer(&[ciphertext, &exchanged.publics[at]])?, secret })
}

/// The encapsulation key and the X25519 share of what a client sent.
fn parts(share: &Share) -> Option<(&EncapsulationKey, &[u8; 32])> {
    let (key, point) = share.of(Group::X25519MlKem768)?.split_first_chunk()?;
    Some((key, point.try_into().ok()?))
}
