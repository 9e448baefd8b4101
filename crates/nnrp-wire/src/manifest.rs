//! The manifest of packets and parts of packets that implementations in all languages agree on. spec: nnrp-wire 7.7
//!
//! ```
//! use nnrp_wire::manifest::{self, golden_vectors};
//!
//! let vectors = golden_vectors();
//! let text = manifest::render(&vectors);
//! assert_eq!(manifest::parse(&text)?, vectors);
//! manifest::verify(&vectors).unwrap();
//! # Ok::<(), manifest::ManifestError>(())
//! ```

mod golden;
mod text;
mod verify;

use bytes::Bytes;
use thiserror::Error;

pub use golden::golden_vectors;
pub use text::{parse, render};
pub use verify::{NotVerified, Reason, verify};

/// The only schema there is.
pub const SCHEMA: &str = "nnrp.cross-language-golden-vectors.v1";

/// Bytes with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoldenVector {
    /// Unlike all others; of metadata, its last part after a dot says what it is, `client_hello` for instance.
    pub name: String,
    /// What the bytes are.
    pub kind: VectorKind,
    /// The bytes.
    pub bytes: Bytes,
    /// In words.
    pub description: Option<String>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// What bytes of a manifest are.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum VectorKind {
            $($(#[$doc])* $name,)+
        }

        impl VectorKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The name in a manifest.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// By its name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.name() == name)
            }
        }
    };
}

kinds! {
    /// A header.
    Header = "header",
    /// The metadata of a message.
    Metadata = "metadata",
    /// A packet.
    Packet = "packet",
    /// The prelude of a composed body.
    BodyRegion = "body_region",
    /// A reference to a cached object.
    ObjectReference = "object_reference",
    /// The descriptor of a typed payload.
    TypedPayloadDescriptor = "typed_payload_descriptor",
    /// Descriptors of typed payloads.
    TypedPayloadDescriptorRegion = "typed_payload_descriptor_region",
    /// The payloads that descriptors of the same manifest say the place of.
    TypedPayloadFrameRegion = "typed_payload_frame_region",
}

/// Why a text is no manifest.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It is no JSON.
    #[error("the manifest is no JSON")]
    Json(#[from] serde_json::Error),
    /// It is something else than an object.
    #[error("a manifest is a JSON object")]
    NotAnObject,
    /// Another schema, or none.
    #[error("the schema of a manifest is {SCHEMA}, not {0}")]
    Schema(String),
    /// There is no list of vectors.
    #[error("`vectors` of a manifest is a list")]
    NoVectors,
    /// A vector is something else than an object.
    #[error("vector {0} of the manifest is no object")]
    NotAVector(usize),
    /// A field is missing, or of another type.
    #[error("`{field}` of vector {place} is {expected}")]
    Field {
        /// The vector's place, from 0.
        place: usize,
        /// The field.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A vector has no name.
    #[error("vector {0} of the manifest has an empty name")]
    EmptyName(usize),
    /// A vector is of a kind that does not exist.
    #[error("{name:?} is of the unknown kind {kind:?}")]
    UnknownKind {
        /// The vector.
        name: String,
        /// Its kind.
        kind: String,
    },
    /// Half a byte is missing.
    #[error("{0:?} has an odd number of hex digits")]
    OddHex(String),
    /// A character is no hex digit.
    #[error("{0:?} has characters that are no hex digits")]
    InvalidHex(String),
    /// It says another length than it has.
    #[error("{name:?} should have {declared} bytes, but has {found}")]
    ByteCount {
        /// The vector.
        name: String,
        /// What it says.
        declared: String,
        /// What it has.
        found: usize,
    },
    /// Two vectors have the same name.
    #[error("{0:?} is there twice")]
    DuplicateName(String),
}
