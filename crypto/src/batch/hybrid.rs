//! Exchanges of X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem): X25519 in lanes, together with that of others, then
//! ML-KEM-768.

use aws_lc_rs::kem::{Ciphertext as Carrier, SharedSecret};
use rand_core::CryptoRng;

use super::curves::{Curve, MOST, Proof, Secrets};
use super::four::Avx2;
use super::jobs::{Exchanged, Work};
use super::lanes::{self, Cpu, Depth, LANES};
use super::lots::Ticket;
use super::mlkem::{self, Ciphertext, EncapsulationKey};
use crate::{Done, Failure, Group, Secret, Share, SystemRandom, awslc};

/// What carries secrets to the owners of at most eight keys, the secrets, and whether the keys are valid.
pub(super) struct Encapsulated {
    pub(super) ciphertexts: [Ciphertext; LANES],
    pub(super) secrets: Secrets,
    pub(super) valid: [bool; LANES],
}

impl Default for Encapsulated {
    fn default() -> Self {
        Self { ciphertexts: [[0; _]; LANES], secrets: Secrets::default(), valid: [false; LANES] }
    }
}

/// A CPU that encapsulates.
pub(super) trait Encapsulate {
    /// Encapsulates to at most eight `keys`.
    fn encapsulate(self, random: &mut impl CryptoRng, keys: &[&EncapsulationKey]) -> Encapsulated;
}

impl Encapsulate for Cpu {
    fn encapsulate(self, random: &mut impl CryptoRng, keys: &[&EncapsulationKey]) -> Encapsulated {
        let (count, mut messages) = (keys.len(), Secrets::default());
        random.fill_bytes(messages[..count].as_flattened_mut());
        let mut encapsulated = Encapsulated::default();
        let Encapsulated { ciphertexts, secrets, valid } = &mut encapsulated;
        mlkem::encapsulate(
            self,
            keys,
            &messages[..count],
            &mut ciphertexts.each_mut()[..count],
            &mut secrets[..count],
            &mut valid[..count],
        );
        encapsulated
    }
}

/// By aws-lc, one after the other.
impl Encapsulate for Avx2 {
    fn encapsulate(self, _: &mut impl CryptoRng, keys: &[&EncapsulationKey]) -> Encapsulated {
        let mut encapsulated = Encapsulated::default();
        let Encapsulated { ciphertexts, secrets, valid } = &mut encapsulated;
        let places = ciphertexts.iter_mut().zip(&mut **secrets).zip(valid);
        for (key, ((ciphertext, secret), valid)) in keys.iter().zip(places) {
            if let Some((carrier, shared)) = awslc::encapsulate(*key) {
                *valid = copy(&carrier, &shared, ciphertext, secret).is_some();
            }
        }
        encapsulated
    }
}

fn copy(
    carrier: &Carrier<'_>,
    shared: &SharedSecret,
    ciphertext: &mut Ciphertext,
    secret: &mut [u8; 32],
) -> Option<()> {
    *ciphertext = carrier.as_ref().try_into().ok()?;
    *secret = shared.as_ref().try_into().ok()?;
    Some(())
}

/// As the crate's function of this name, in eight lanes.
pub(crate) fn encapsulate(
    keys: &[EncapsulationKey],
    mut take: impl FnMut(&[u8], Secret),
) -> Result<(), Failure> {
    let cpu = Cpu::detect().ok_or(Failure::UnsuitableGroup)?;
    for keys in keys.chunks(LANES) {
        let references: [_; LANES] = std::array::from_fn(|at| keys.get(at).unwrap_or(&NO_KEY));
        let encapsulated = cpu.encapsulate(&mut SystemRandom, &references[..keys.len()]);
        for index in 0..keys.len() {
            if !encapsulated.valid[index] {
                return Err(Failure::InvalidShare);
            }
            take(&encapsulated.ciphertexts[index], Secret::new(encapsulated.secrets[index]));
        }
    }
    lanes::wipe(cpu, Depth::Deep);
    Ok(())
}

/// Stands in for what a peer should have sent; what is encapsulated to it goes nowhere.
static NO_KEY: EncapsulationKey = [0; _];

impl<R: CryptoRng, P: Proof> Work<'_, R, P> {
    /// Exchanges with `hybrids`, whose rooms carry the answers, and with the `points` of plain X25519: at most
    /// [`MOST`] together.
    pub(super) fn exchange_hybrid(
        &mut self,
        (hybrid_tickets, hybrids): (&[Ticket], &mut [Share]),
        (tickets, points): (&[Ticket], &[[u8; 32]]),
    ) {
        let mut peers = [P::X25519::NONE; MOST];
        let (first, rest) = peers.split_at_mut(hybrids.len().min(MOST));
        for (peer, hybrid) in first.iter_mut().zip(hybrids.iter()) {
            *peer = parts(hybrid).map_or(P::X25519::NONE, |(_, point)| *point);
        }
        for (peer, point) in rest.iter_mut().zip(points) {
            *peer = *point;
        }
        let (hybrid_count, count) = (hybrids.len(), hybrids.len() + points.len());
        let exchanged = self.exchanged::<P::X25519>(&peers[..count.min(MOST)]);
        self.answer_exchanged::<P::X25519>(tickets, &exchanged, hybrid_count);
        let eights = hybrid_tickets.chunks(LANES).zip(hybrids.chunks_mut(LANES));
        for (eight, (tickets, hybrids)) in eights.enumerate() {
            self.encapsulate(tickets, hybrids, &exchanged, eight * LANES);
        }
    }

    /// One exchange after the other, with pairs made ahead if there are any.
    pub(super) fn exchange_hybrid_alone(&mut self, tickets: &[Ticket], peers: &mut [Share]) {
        for (ticket, peer) in tickets.iter().zip(peers) {
            let mut exchanged = Exchanged::<P::X25519>::default();
            if let Some((_, point)) = parts(peer)
                && let Some(share) = Share::new(Group::X25519, point)
                && let Done::Exchanged { share, secret } = self.exchanged_alone::<P::X25519>(share)
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
        exchanged: &Exchanged<P::X25519>,
        first: usize,
    ) {
        let keys: [_; LANES] =
            std::array::from_fn(|at| peers.get(at).and_then(parts).map_or(&NO_KEY, |(key, _)| key));
        let encapsulated = self.cpu.encapsulate(self.random, &keys[..peers.len().min(LANES)]);
        for (index, (ticket, peer)) in tickets.iter().zip(peers).enumerate() {
            let at = first + index;
            let done = match encapsulated.valid[index] && exchanged.valid[at] {
                true => answer(peer, &encapsulated, index, (&exchanged.publics[at], &exchanged.shared[at])),
                false => None,
            };
            self.answer(ticket, done.unwrap_or(Done::Failed(Failure::InvalidShare)));
        }
    }
}

fn answer(
    peer: &mut Share,
    encapsulated: &Encapsulated,
    index: usize,
    (public, agreed): (&[u8; 32], &[u8; 32]),
) -> Option<Done> {
    let secret = Secret::hybrid(&encapsulated.secrets[index], agreed)?;
    Some(Done::Exchanged { share: peer.answer(&[&encapsulated.ciphertexts[index], public])?, secret })
}

/// The encapsulation key and the X25519 share of what a client sent.
fn parts(share: &Share) -> Option<(&EncapsulationKey, &[u8; 32])> {
    let (key, point) = share.of(Group::X25519MlKem768)?.split_first_chunk()?;
    Some((key, point.try_into().ok()?))
}
