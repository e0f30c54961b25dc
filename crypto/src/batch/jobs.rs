//! Jobs in lanes: what each kind takes out of its jobs, and what it makes of the lanes' answers.

use std::collections::VecDeque;

use rand_core::CryptoRng;

use super::curves::{Curve, MOST, Proof, Secrets, secrets};
use super::digest::digest;
use super::lanes::{Cpu, LANES};
use super::lots::Ticket;
use super::{ecdsa, emsa, rsa};
use crate::{
    AwsLc, Done, Failure, Job, KeyId, Message, PrivateShare, Secret, Share, Signature, SignatureScheme, Token,
};

/// What it takes to work off a lot of at most [`MOST`] jobs of one kind.
pub(super) struct Work<'a, R, P: Proof = Cpu> {
    pub(super) cpu: P,
    pub(super) random: &'a mut R,
    pub(super) ahead: &'a mut P::Pools,
    pub(super) done: &'a mut VecDeque<(Token, Done)>,
    pub(super) scalar: &'a AwsLc,
}

/// A [`Job::Agree`] as it waits.
pub(super) struct Agreement<C: Curve> {
    pub(super) private: PrivateShare,
    pub(super) peer: C::Public,
}

/// A [`Job::Sign`] as it waits.
pub(super) struct Signing {
    pub(super) key: KeyId,
    pub(super) scheme: SignatureScheme,
    pub(super) message: Message,
}

/// Our shares, what was agreed on with them, and whether the peers' are valid.
pub(super) struct Exchanged<C: Curve> {
    pub(super) publics: [C::Public; MOST],
    pub(super) shared: Secrets,
    pub(super) valid: [bool; MOST],
}

impl<C: Curve> Default for Exchanged<C> {
    fn default() -> Self {
        Self { publics: [C::NONE; MOST], shared: Secrets::default(), valid: [false; MOST] }
    }
}

impl Signing {
    fn job(&self) -> Job {
        Job::Sign { key: self.key, scheme: self.scheme, message: self.message }
    }
}

impl<R: CryptoRng, P: Proof> Work<'_, R, P> {
    /// Exchanges without lanes, with pairs made ahead if there are any.
    pub(super) fn exchange_alone<C: Curve<Cpu = P>>(&mut self, tickets: &[Ticket], peers: &[C::Public]) {
        for (ticket, peer) in tickets.iter().zip(peers) {
            let peer = Share::new(C::GROUP, peer.as_ref());
            let done = peer.map_or(Done::Failed(Failure::Internal), |peer| self.exchanged_alone::<C>(peer));
            self.answer(ticket, done);
        }
    }

    pub(super) fn exchanged_alone<C: Curve<Cpu = P>>(&mut self, peer: Share) -> Done {
        let Some((private, share)) = self.pair::<C>() else {
            return self.scalar.work(&Job::Exchange { group: C::GROUP, peer });
        };
        match self.scalar.work(&Job::Agree { private, peer }) {
            Done::Agreed { secret } => Done::Exchanged { share, secret },
            other => other,
        }
    }

    /// Key pairs without lanes: those made ahead if there are any.
    pub(super) fn generate_alone<C: Curve<Cpu = P>>(&mut self, tickets: &[Ticket]) {
        for ticket in tickets {
            let done = match self.pair::<C>() {
                Some((private, share)) => Done::Generated { private, share },
                None => self.scalar.work(&Job::Generate { group: C::GROUP }),
            };
            self.answer(ticket, done);
        }
    }

    /// Agreements without lanes.
    pub(super) fn agree_alone<C: Curve<Cpu = P>>(&mut self, tickets: &[Ticket], inputs: &[Agreement<C>]) {
        for (ticket, Agreement { private, peer }) in tickets.iter().zip(inputs) {
            let done = Share::new(C::GROUP, peer.as_ref()).map_or(Done::Failed(Failure::Internal), |peer| {
                self.scalar.work(&Job::Agree { private: private.clone(), peer })
            });
            self.answer(ticket, done);
        }
    }

    /// Signatures without lanes.
    pub(super) fn sign_alone(&mut self, tickets: &[Ticket], inputs: &[Signing]) {
        for (ticket, signing) in tickets.iter().zip(inputs) {
            let done = self.scalar.work(&signing.job());
            self.answer(ticket, done);
        }
    }

    /// What there are no lanes for.
    pub(super) fn others(&mut self, tickets: &[Ticket], jobs: &[Job]) {
        for (ticket, job) in tickets.iter().zip(jobs) {
            let done = self.scalar.work(job);
            self.answer(ticket, done);
        }
    }

    pub(super) fn pair<C: Curve<Cpu = P>>(&mut self) -> Option<(PrivateShare, Share)> {
        let (secrets, publics) = C::ahead(self.ahead).take(1)?;
        Some((PrivateShare::new(C::GROUP, secrets[0]), Share::new(C::GROUP, publics[0].as_ref())?))
    }

    /// Exchanges with `peers`.
    pub(super) fn exchange<C: Curve<Cpu = P>>(&mut self, tickets: &[Ticket], peers: &[C::Public]) {
        let exchanged = self.exchanged::<C>(peers);
        self.answer_exchanged(tickets, &exchanged, 0);
    }

    /// Gives what stands in `exchanged` from `first` on.
    pub(super) fn answer_exchanged<C: Curve<Cpu = P>>(
        &mut self,
        tickets: &[Ticket],
        exchanged: &Exchanged<C>,
        first: usize,
    ) {
        let Exchanged { publics, shared, valid } = exchanged;
        for (ticket, index) in tickets.iter().zip(first..MOST) {
            let share = Share::new(C::GROUP, publics[index].as_ref()).filter(|_| valid[index]);
            let done = share.map_or(Done::Failed(Failure::InvalidShare), |share| Done::Exchanged {
                share,
                secret: Secret::new(shared[index]),
            });
            self.answer(ticket, done);
        }
    }

    /// What pairs of ours and at most [`MOST`] `peers` agree on.
    pub(super) fn exchanged<C: Curve<Cpu = P>>(&mut self, peers: &[C::Public]) -> Exchanged<C> {
        let count = peers.len().min(MOST);
        let peers = &peers[..count];
        let mut exchanged = Exchanged::default();
        let (agreed, holds) = (&mut exchanged.shared[..count], &mut exchanged.valid[..count]);
        if let Some((secrets, publics)) = C::ahead(self.ahead).take(count) {
            C::agree(self.cpu, &secrets[..count], peers, agreed, holds);
            exchanged.publics = publics;
        } else {
            let secrets = secrets::<C>(count, self.random);
            let publics = &mut exchanged.publics[..count];
            C::exchange(self.cpu, &secrets[..count], peers, publics, agreed, holds);
        }
        exchanged
    }

    /// Key pairs.
    pub(super) fn generate<C: Curve<Cpu = P>>(&mut self, tickets: &[Ticket]) {
        let count = tickets.len().min(MOST);
        let (secrets, publics) = C::ahead(self.ahead).take(count).unwrap_or_else(|| {
            let secrets = secrets::<C>(count, self.random);
            let mut publics = [C::NONE; MOST];
            C::generate(self.cpu, &secrets[..count], &mut publics[..count]);
            (secrets, publics)
        });
        for (index, ticket) in tickets.iter().enumerate() {
            let share = Share::new(C::GROUP, publics[index].as_ref());
            let done = share.map_or(Done::Failed(Failure::Internal), |share| Done::Generated {
                private: PrivateShare::new(C::GROUP, secrets[index]),
                share,
            });
            self.answer(ticket, done);
        }
    }

    /// Agreements.
    pub(super) fn agree<C: Curve<Cpu = P>>(&mut self, tickets: &[Ticket], inputs: &[Agreement<C>]) {
        let count = inputs.len().min(MOST);
        let mut secrets = Secrets::default();
        let mut peers = [C::NONE; MOST];
        for ((secret, peer), input) in secrets.iter_mut().zip(&mut peers).zip(inputs) {
            secret.copy_from_slice(input.private.bytes());
            *peer = input.peer;
        }
        let mut shared = Secrets::default();
        let mut valid = [false; MOST];
        C::agree(self.cpu, &secrets[..count], &peers[..count], &mut shared[..count], &mut valid[..count]);
        for (index, ticket) in tickets.iter().enumerate() {
            let done = match (C::is_secret(&secrets[index]), valid[index]) {
                (true, true) => Done::Agreed { secret: Secret::new(shared[index]) },
                (true, false) => Done::Failed(Failure::InvalidShare),
                (false, _) => Done::Failed(Failure::Internal),
            };
            self.answer(ticket, done);
        }
    }

    pub(super) fn answer(&mut self, ticket: &Ticket, done: Done) {
        self.done.push_back((ticket.token, done));
    }
}

impl<R: CryptoRng> Work<'_, R> {
    /// Signatures by ECDSA keys, whose scalars `key` gives.
    pub(super) fn sign_ecdsa<'k>(
        &mut self,
        tickets: &[Ticket],
        inputs: &[Signing],
        key: impl Fn(KeyId) -> &'k [u8; 32],
    ) {
        let (cpu, count) = (self.cpu, inputs.len().min(MOST));
        let mut noise = Secrets::default();
        self.random.fill_bytes(noise[..count].as_flattened_mut());
        self.sign_ecdsa_by(tickets, inputs, key, |keys, digests, signatures, valid| {
            ecdsa::sign_hedged(cpu, keys, &noise[..count], digests, signatures, valid);
        });
    }

    /// The same with the inverses and r of nonces made ahead, for which the lanes are used however few they are.
    pub(super) fn sign_ecdsa_ahead<'k>(
        &mut self,
        tickets: &[Ticket],
        inputs: &[Signing],
        key: impl Fn(KeyId) -> &'k [u8; 32],
        (inverses, rs): &(Secrets, [[u8; 32]; MOST]),
    ) {
        let (cpu, count) = (self.cpu, inputs.len().min(MOST));
        self.sign_ecdsa_by(tickets, inputs, key, |keys, digests, signatures, valid| {
            ecdsa::sign_ahead(cpu, keys, &inverses[..count], &rs[..count], digests, signatures, valid);
        });
    }

    /// Signatures that `sign` makes of keys and digests, saying which are valid; aws-lc makes the others.
    fn sign_ecdsa_by<'k>(
        &mut self,
        tickets: &[Ticket],
        inputs: &[Signing],
        key: impl Fn(KeyId) -> &'k [u8; 32],
        sign: impl FnOnce(&[[u8; 32]], &[[u8; 32]], &mut [[u8; 64]], &mut [bool]),
    ) {
        let count = inputs.len().min(MOST);
        let mut keys = Secrets::default();
        let mut digests = [[0; 32]; MOST];
        for (index, signing) in inputs.iter().enumerate() {
            keys[index].copy_from_slice(key(signing.key));
            digests[index] = digest(signing.message.bytes());
        }
        let mut signatures = [[0; 64]; MOST];
        let mut valid = [false; MOST];
        sign(&keys[..count], &digests[..count], &mut signatures[..count], &mut valid[..count]);
        for (index, (ticket, signing)) in tickets.iter().zip(inputs).enumerate() {
            let signature = der(&signatures[index]).filter(|_| valid[index]);
            let done = signature.map_or_else(|| self.scalar.work(&signing.job()), Done::Signed);
            self.answer(ticket, done);
        }
    }

    /// At most eight signatures by the RSA key `key`.
    pub(super) fn sign_rsa(&mut self, tickets: &[Ticket], inputs: &[Signing], key: &mut rsa::Key) {
        let count = inputs.len().min(LANES);
        let len = key.len();
        let mut messages = [[0; 512]; LANES];
        let mut encoded = [false; LANES];
        for (index, Signing { scheme, message, .. }) in inputs.iter().enumerate() {
            encoded[index] = encode(*scheme, message.bytes(), &mut messages[index][..len], self.random);
        }
        let mut signatures = [[0; 512]; LANES];
        let mut valid = [false; LANES];
        let random = &mut *self.random;
        key.sign(
            &messages[..count],
            &mut signatures[..count],
            &mut valid[..count],
            &mut |place: &mut [u8]| random.fill_bytes(place),
        );
        for (index, (ticket, signing)) in tickets.iter().zip(inputs).enumerate() {
            let signature =
                Signature::new(&signatures[index][..len]).filter(|_| encoded[index] && valid[index]);
            // A result that does not stand its check is thrown away.
            let done = signature.map_or_else(|| self.scalar.work(&signing.job()), Done::Signed);
            self.answer(ticket, done);
        }
    }
}

/// The encoded message of an RSA scheme; false when it has none of this length.
fn encode(scheme: SignatureScheme, message: &[u8], place: &mut [u8], random: &mut impl CryptoRng) -> bool {
    let mut salt = [0; emsa::MAX_SALT_LEN];
    let salt = &mut salt[..emsa::salt_len(scheme)];
    random.fill_bytes(salt);
    emsa::encode(scheme, message, salt, place).is_some()
}

/// The DER of an ECDSA signature of r and s (RFC 3279 section 2.2.3).
fn der(signature: &[u8; 64]) -> Option<Signature> {
    let mut bytes = [0; 72];
    let mut len = 2;
    for number in signature.chunks(32) {
        let zeros = number.iter().take_while(|&&byte| byte == 0).count().min(31);
        let number = &number[zeros..];
        let sign = usize::from(number[0] >= 0x80);
        bytes[len] = 2;
        bytes[len + 1] = u8::try_from(sign + number.len()).ok()?;
        bytes.get_mut(len + 2 + sign..len + 2 + sign + number.len())?.copy_from_slice(number);
        len += 2 + sign + number.len();
    }
    bytes[0] = 0x30;
    bytes[1] = u8::try_from(len - 2).ok()?;
    Signature::new(&bytes[..len])
}
