//! ML-KEM-768 encapsulation alone, which engines do within X25519MLKEM768 only: `encapsulate`, for measurements.

use crate::{EngineKind, Failure, Secret, awslc};

/// An encapsulation key of ML-KEM-768 (FIPS 203 section 8).
pub type EncapsulationKey = [u8; crate::job::ENCAPSULATION_KEY];

/// Encapsulates to `keys` as the engine `kind` does, and gives each ciphertext and its secret to `take`.
///
/// # Errors
/// A key does not stand its check; or the engine has no way of its own, which [`EngineKind::Batch`] and
/// [`EngineKind::AwsLc`] have.
pub fn encapsulate(
    kind: EngineKind,
    keys: &[EncapsulationKey],
    mut take: impl FnMut(&[u8], Secret),
) -> Result<(), Failure> {
    match kind {
        #[cfg(target_arch = "x86_64")]
        EngineKind::Batch => crate::batch::encapsulate(keys, take),
        EngineKind::AwsLc => keys.iter().try_for_each(|key| {
            let (ciphertext, secret) = awslc::encapsulate(key).ok_or(Failure::InvalidShare)?;
            take(ciphertext.as_ref(), Secret::of::<32>(secret.as_ref()).ok_or(Failure::Internal)?);
            Ok(())
        }),
        _ => Err(Failure::UnsuitableGroup),
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, ML_KEM_768};

    use super::*;

    #[test]
    fn owners_of_keys_find_the_secrets() {
        let owners: Vec<_> = (0..11).map(|_| DecapsulationKey::generate(&ML_KEM_768).unwrap()).collect();
        let public = |owner: &DecapsulationKey| {
            owner.encapsulation_key().unwrap().key_bytes().unwrap().as_ref().try_into().unwrap()
        };
        let mut keys: Vec<EncapsulationKey> = owners.iter().map(public).collect();
        for kind in [EngineKind::Batch, EngineKind::AwsLc] {
            let mut found = owners.iter();
            encapsulate(kind, &keys, |ciphertext, secret| {
                let found = found.next().unwrap().decapsulate(Ciphertext::from(ciphertext)).unwrap();
                assert_eq!(found.as_ref(), secret.bytes());
            })
            .unwrap();
            assert!(found.next().is_none());
        }
        keys[9][..2].fill(0xff);
        for kind in [EngineKind::Batch, EngineKind::AwsLc] {
            assert_eq!(encapsulate(kind, &keys, |_, _| {}), Err(Failure::InvalidShare));
        }
        assert_eq!(encapsulate(EngineKind::Batch4, &keys, |_, _| {}), Err(Failure::UnsuitableGroup));
    }
}
