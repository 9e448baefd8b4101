//! CURVE keys, in the text form that all ZeroMQ tools use (Z85, 40 characters).

use std::fmt;
use std::str::FromStr;

use omq_tokio::{CurveKeypair, CurvePublicKey, CurveSecretKey};
use thiserror::Error;

/// The public half of a key pair: what is given to the other side.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(pub(super) [u8; 32]);

/// The secret half. Never shown by `Debug`; overwritten when dropped.
#[derive(Clone)]
pub struct SecretKey(pub(super) CurveSecretKey);

/// A key pair.
///
/// ```
/// use autotrainer_api::zmq::{KeyPair, SecretKey};
///
/// let pair = KeyPair::generate();
/// let secret: SecretKey = pair.secret.to_z85().parse()?;
/// assert_eq!(KeyPair::from(secret).public, pair.public);
/// # Ok::<(), autotrainer_api::zmq::KeyError>(())
/// ```
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// What the other side may know.
    pub public: PublicKey,
    /// What nobody else may know.
    pub secret: SecretKey,
}

/// A text that is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a key is 40 characters of Z85, as the key tools of ZeroMQ print it")]
pub struct KeyError;

impl KeyPair {
    /// A new pair, from the system's randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self::from(SecretKey(CurveKeypair::generate().secret))
    }

    pub(super) fn for_library(&self) -> CurveKeypair {
        CurveKeypair {
            public: self.public.for_library(),
            secret: self.secret.0.clone(),
        }
    }
}

impl From<SecretKey> for KeyPair {
    fn from(secret: SecretKey) -> Self {
        Self {
            public: PublicKey(*secret.0.derive_public().as_bytes()),
            secret,
        }
    }
}

impl PublicKey {
    pub(super) fn for_library(self) -> CurvePublicKey {
        CurvePublicKey::from_bytes(self.0)
    }
}

impl SecretKey {
    /// The text form, for a file that only its owner can read.
    #[must_use]
    pub fn to_z85(&self) -> String {
        self.0.to_z85()
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let key = CurvePublicKey::from_z85(text.trim()).map_err(|_| KeyError)?;
        Ok(Self(*key.as_bytes()))
    }
}

impl FromStr for SecretKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let key = CurveSecretKey::from_z85(text.trim()).map_err(|_| KeyError)?;
        Ok(Self(key))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.for_library().to_z85())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}
