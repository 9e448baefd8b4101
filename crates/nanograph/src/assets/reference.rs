//! [`AssetRef`]: the name of an asset.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of a reference's text; longer texts are no reference.
const MAX_BYTES: usize = 1024;

/// Names an asset, in the form of either SDK generation. spec: nanograph 10.1
///
/// ```
/// use nanograph::assets::AssetRef;
///
/// let reference: AssetRef = "nanocore://local:3001/asset/0b5a3c1e-1111-4222-8333-444455556666".parse()?;
/// assert_eq!(reference.id(), "0b5a3c1e-1111-4222-8333-444455556666");
/// assert!("sha256:abc".parse::<AssetRef>().is_err());
/// # Ok::<(), nanograph::assets::AssetRefError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AssetRef(Form);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Form {
    Uuid { domain: String, uuid: String },
    Hash(String),
}

/// A text that is no asset reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no asset reference: use nanocore://<domain>/asset/<uuid> or sha256:<64 hexadecimal digits>"
)]
pub struct AssetRefError {
    text: String,
}

impl AssetRef {
    /// `nanocore://<domain>/asset/<uuid>`.
    ///
    /// # Errors
    /// The domain is empty or has a slash, or the uuid has other characters than hexadecimal digits and dashes.
    pub fn uuid(domain: &str, uuid: &str) -> Result<Self, AssetRefError> {
        format!("nanocore://{domain}/asset/{uuid}").parse()
    }

    /// The domain, if this reference has one. Calls do not go there but to the client's endpoint.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        match &self.0 {
            Form::Uuid { domain, .. } => Some(domain),
            Form::Hash(_) => None,
        }
    }

    /// What stands for the asset in the paths of the asset server: the uuid, or the hash with its `sha256:`.
    #[must_use]
    pub fn id(&self) -> &str {
        match &self.0 {
            Form::Uuid { uuid, .. } => uuid,
            Form::Hash(hash) => hash,
        }
    }

    /// Whether the asset is named by its content.
    #[must_use]
    pub fn is_hash(&self) -> bool {
        matches!(self.0, Form::Hash(_))
    }
}

impl FromStr for AssetRef {
    type Err = AssetRefError;

    /// Hashes are lowered: the SDK passes upper-case digits on, but they name the same content.
    fn from_str(text: &str) -> Result<Self, AssetRefError> {
        let error = || AssetRefError {
            text: text.chars().take(80).collect(),
        };
        if text.len() > MAX_BYTES {
            return Err(error());
        }
        if let Some(hex) = text.strip_prefix("sha256:") {
            let fits = hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit());
            return if fits {
                Ok(Self(Form::Hash(text.to_ascii_lowercase())))
            } else {
                Err(error())
            };
        }
        let rest = text.strip_prefix("nanocore://").ok_or_else(error)?;
        let (domain, uuid) = rest.split_once("/asset/").ok_or_else(error)?;
        let domain_fits =
            !domain.is_empty() && !domain.contains('/') && !domain.contains(char::is_control);
        let uuid_fits =
            !uuid.is_empty() && uuid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        if !domain_fits || !uuid_fits {
            return Err(error());
        }
        Ok(Self(Form::Uuid {
            domain: domain.to_owned(),
            uuid: uuid.to_owned(),
        }))
    }
}

impl fmt::Display for AssetRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Uuid { domain, uuid } => write!(f, "nanocore://{domain}/asset/{uuid}"),
            Form::Hash(hash) => f.write_str(hash),
        }
    }
}

impl Serialize for AssetRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AssetRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_whole_references_are_taken() {
        let hash = format!("sha256:{}", "ab".repeat(32));
        for good in [
            &*hash,
            "nanocore://a/asset/0",
            "nanocore://a:80/asset/ABC-def",
            "nanocore://lo cal/asset/-",
        ] {
            assert_eq!(
                good.parse::<AssetRef>().map(|r| r.to_string()).as_deref(),
                Ok(good)
            );
        }
        let long = format!("nanocore://a/asset/{}", "0".repeat(2000));
        for bad in [
            "",
            "sha256:",
            &hash[..70],
            &format!("{hash}0"),
            &hash.replace("ba", "zz"),
            "nanocore://a/asset/0/download",
            "nanocore://a/asset/0?x",
            "nanocore:///asset/0",
            "nanocore://a/b/asset/0",
            "nanocore://a/asset/",
            "http://a/asset/0",
            "nanocore://a/asset/../x",
            &long,
        ] {
            assert!(bad.parse::<AssetRef>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_parses_prints_the_same(text in "(nanocore://|sha256:)?[a-z0-9./:]{0,20}(/asset/)?[a-fA-F0-9/-]{0,64}") {
            if let Ok(reference) = text.parse::<AssetRef>() {
                prop_assert!(!reference.id().contains('/'));
                let expected = if reference.is_hash() { text.to_ascii_lowercase() } else { text };
                prop_assert_eq!(reference.to_string(), expected);
            }
        }
    }
}
