//! Who may call: the bearer token, and signatures of download addresses.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::id::{from_hex, hex};

/// A bearer token. Compared in constant time, never shown.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A token given from outside.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// A new token of 244 random bits.
    #[must_use]
    pub fn random() -> Self {
        Self(format!(
            "{}{}",
            Uuid::new_v4().simple(),
            Uuid::new_v4().simple()
        ))
    }

    /// The text, to be given to those who may call.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether `other` is this token; takes as long for any text of the same length.
    #[must_use]
    pub fn matches(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }

    /// Whether anybody could guess it. spec: nanograph 19.5
    #[must_use]
    pub fn is_weak(&self) -> bool {
        self.0.is_empty() || self.0 == "changeme"
    }

    /// The signature that lets whoever has it read `path` until `expires` (seconds since 1970). It also allows HEAD.
    pub(crate) fn sign(&self, path: &str, expires: u64) -> String {
        self.mac(&download_message(path, expires))
            .map(|mac| hex(&mac.finalize().into_bytes()))
            .unwrap_or_default()
    }

    /// Whether this signature was made by [`Self::sign`] for the same path and time.
    pub(crate) fn verify(&self, path: &str, expires: u64, signature: &str) -> bool {
        self.is_signed(&download_message(path, expires), signature)
    }

    /// What makes a server's token: only who has this token can make it.
    pub(crate) fn sign_uid(&self, uid: &str) -> String {
        self.mac(&uid_message(uid))
            .map(|mac| hex(&mac.finalize().into_bytes()))
            .unwrap_or_default()
    }

    /// Whether this signature was made by [`Self::sign_uid`] for the same uid.
    pub(crate) fn verify_uid(&self, uid: &str, signature: &str) -> bool {
        self.is_signed(&uid_message(uid), signature)
    }

    fn is_signed(&self, message: &str, signature: &str) -> bool {
        match (self.mac(message), from_hex(signature)) {
            (Some(mac), Some(bytes)) => mac.verify_slice(&bytes).is_ok(),
            _ => false,
        }
    }

    fn mac(&self, message: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).ok()?;
        mac.update(message.as_bytes());
        Some(mac)
    }
}

/// The two kinds of message begin differently, so that a signature of one is never good for the other.
fn uid_message(uid: &str) -> String {
    format!("nodewire server token\n{uid}")
}

fn download_message(path: &str, expires: u64) -> String {
    format!("nodewire presigned\nGET\n{path}\n{expires}")
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_path_time_and_token_only() {
        let token = Token::random();
        let signature = token.sign("/assets/a/download", 10);
        assert!(token.verify("/assets/a/download", 10, &signature));
        assert!(!token.verify("/assets/b/download", 10, &signature));
        assert!(!token.verify("/assets/a/download", 11, &signature));
        assert!(!Token::random().verify("/assets/a/download", 10, &signature));
        for altered in ["", "zz", &signature[2..], &format!("{signature}00")] {
            assert!(!token.verify("/assets/a/download", 10, altered));
        }
    }

    #[test]
    fn tokens_match_themselves_and_are_not_shown() {
        let token = Token::random();
        assert!(token.matches(token.clone().reveal()));
        assert!(!token.matches("") && !token.matches(&token.reveal()[1..]));
        assert_eq!(format!("{token:?}"), "Token(..)");
        assert!(Token::new("").is_weak() && !token.is_weak());
    }
}
