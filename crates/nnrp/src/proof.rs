//! The proof that a session is a client's, for when it moves to another transport. spec: nnrp-session A-6
//!
//! The protocol has none. So the server hands out a random token in an extension of the hello's answer, which is not
//! critical: a client that does not know it leaves it alone. A client that moves its session repeats the token as the body
//! of SESSION_MIGRATE.

use std::sync::LazyLock;

use bytes::Bytes;
use nnrp_wire::{ControlExtension, ControlExtensionFlags};
use rustls::crypto::SecureRandom;
use subtle::ConstantTimeEq as _;

/// The number of the extension that carries the token; not one of those that the protocol has.
pub(crate) const PROOF_EXTENSION_TYPE: u16 = 0xF0A6;

/// Its length: more than can be guessed.
const PROOF_BYTES: usize = 32;

static RANDOM: LazyLock<&'static dyn SecureRandom> =
    LazyLock::new(|| rustls::crypto::ring::default_provider().secure_random);

/// A session's token. It is a secret: it is not printed.
#[derive(Clone, Copy)]
pub(crate) struct MigrationProof([u8; PROOF_BYTES]);

impl MigrationProof {
    /// One that nobody can guess; `None` if the system has no random numbers.
    pub(crate) fn random() -> Option<Self> {
        let mut token = [0; PROOF_BYTES];
        RANDOM.fill(&mut token).ok()?;
        Some(Self(token))
    }

    /// What the hello's answer says, if it says one.
    pub(crate) fn from_extensions(extensions: &[ControlExtension]) -> Option<Self> {
        let mut proofs = extensions
            .iter()
            .filter(|extension| extension.ext_type == PROOF_EXTENSION_TYPE);
        let token = proofs.next()?.payload.as_ref();
        token.try_into().ok().map(Self)
    }

    /// For the hello's answer.
    pub(crate) fn extension(&self) -> ControlExtension {
        ControlExtension {
            ext_type: PROOF_EXTENSION_TYPE,
            flags: ControlExtensionFlags::empty(),
            payload: Bytes::copy_from_slice(&self.0),
        }
    }

    /// For SESSION_MIGRATE.
    pub(crate) fn body(&self) -> Bytes {
        Bytes::copy_from_slice(&self.0)
    }

    /// Whether a SESSION_MIGRATE proves this. How long that takes does not tell how much of it was right.
    pub(crate) fn is_proven_by(&self, body: &[u8]) -> bool {
        bool::from(self.0.as_slice().ct_eq(body))
    }
}

impl std::fmt::Debug for MigrationProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MigrationProof").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_to_the_client_and_comes_back() {
        let proof = MigrationProof::random().unwrap();
        let known = MigrationProof::from_extensions(&[proof.extension()]).unwrap();
        assert!(proof.is_proven_by(&known.body()));
    }

    #[test]
    fn nothing_else_proves_it() {
        let (proof, other) = (MigrationProof::random(), MigrationProof::random());
        let (proof, other) = (proof.unwrap(), other.unwrap());
        assert!(!proof.is_proven_by(&other.body()));
        assert!(!proof.is_proven_by(&[]));
        assert!(!proof.is_proven_by(&proof.body()[1..]));
    }

    #[test]
    fn a_token_of_another_length_is_none() {
        let mut extension = MigrationProof::random().unwrap().extension();
        extension.payload = extension.payload.slice(1..);
        assert!(MigrationProof::from_extensions(&[extension]).is_none());
        assert!(MigrationProof::from_extensions(&[]).is_none());
    }

    #[test]
    fn it_is_not_printed() {
        let proof = MigrationProof([65; PROOF_BYTES]);
        assert_eq!(format!("{proof:?}"), "MigrationProof { .. }");
    }
}
