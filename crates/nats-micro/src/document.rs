//! The documents that answer control requests. spec: nats-micro 4
//!
//! Written so that every known decoder takes them: all keys, no null, numbers as integers, `started` with six fraction
//! digits. Read leniently: only `name`, `id` and `version` are required.

mod info;
mod lenient;
mod ping;
mod stats;

pub use info::{EndpointInfo, Info};
pub use ping::Ping;
pub use stats::{EndpointStats, Stats};

use serde::de::DeserializeOwned;
use thiserror::Error;

/// A kind of control request. spec: nats-micro 3
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Who is there.
    Ping,
    /// What endpoints there are.
    Info,
    /// What they have done.
    Stats,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ping, Self::Info, Self::Stats];

    /// The token in the subject.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ping => "PING",
            Self::Info => "INFO",
            Self::Stats => "STATS",
        }
    }

    /// The subject that asks all services, all instances of one, or one instance.
    #[must_use]
    pub fn subject(self, prefix: &str, name: Option<&str>, id: Option<&str>) -> String {
        let mut subject = format!("{prefix}.{}", self.as_str());
        for token in name.into_iter().chain(name.and(id)) {
            subject.push('.');
            subject.push_str(token);
        }
        subject
    }
}

/// Why a reply to a control request cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// It is no JSON, or a required key is missing.
    #[error("the reply cannot be read as {expected}: {source}")]
    Malformed {
        /// The `type` that was asked for.
        expected: &'static str,
        /// Where and why.
        source: serde_json::Error,
    },
    /// It is something else.
    #[error("the reply is of type {actual:?}, not {expected}")]
    WrongType {
        /// The `type` that was asked for.
        expected: &'static str,
        /// The `type` it has.
        actual: String,
    },
}

/// One of the three documents.
pub trait Document: DeserializeOwned + Send + Sync + 'static + sealed::Sealed {
    /// What asks for it.
    const VERB: Verb;
    /// The value of its `type` key.
    const TYPE: &'static str;

    /// The service's name.
    fn name(&self) -> &str;
    /// The instance's id.
    fn id(&self) -> &str;

    /// Reads a reply.
    ///
    /// # Errors
    /// It is malformed, or another kind of document.
    fn parse(payload: &[u8]) -> Result<Self, DocumentError> {
        let document: Self =
            serde_json::from_slice(payload).map_err(|source| DocumentError::Malformed {
                expected: Self::TYPE,
                source,
            })?;
        let actual = document.kind();
        if actual.is_empty() || actual == Self::TYPE {
            return Ok(document);
        }
        Err(DocumentError::WrongType {
            expected: Self::TYPE,
            actual: actual.to_owned(),
        })
    }
}

mod sealed {
    #[expect(unnameable_types, reason = "seals `Document`")]
    pub trait Sealed {
        /// The document's `type`, empty if it has none.
        fn kind(&self) -> &str;
    }
}

macro_rules! document {
    ($document:ty, $verb:expr, $kind:literal) => {
        impl super::sealed::Sealed for $document {
            fn kind(&self) -> &str {
                &self.kind
            }
        }

        impl super::Document for $document {
            const VERB: super::Verb = $verb;
            const TYPE: &'static str = $kind;

            fn name(&self) -> &str {
                &self.name
            }

            fn id(&self) -> &str {
                &self.id
            }
        }
    };
}
use document;
