//! JSON values kept as the text they arrived in.
//!
//! A value that a node merely passes on must leave as it came: every digit of a big integer, every `NaN` that a
//! Python peer wrote. [`Json`] therefore *is* the text of one value, checked once and shared without copying;
//! it is decoded only by whoever looks inside.
//!
//! The text may hold what Python's JSON module reads and writes beyond the standard: the bare tokens `NaN`,
//! `Infinity` and `-Infinity`, and escapes of lone surrogates. [`Json::is_strict`] tells whether it does, and
//! [`Json::to_strict`] replaces them (`null`, `\ufffd`).
//!
//! ```
//! use nodewire_json::Json;
//!
//! let value = Json::parse(r#"{"x": [NaN, 1000000000000000000000000000000]}"#)?;
//! let elements = value.get("x").and_then(|x| x.elements()).unwrap_or_default();
//! assert_eq!(elements[1].as_str(), "1000000000000000000000000000000");
//! assert_eq!(elements[0].decode::<Option<f64>>()?, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Invariants: a [`Json`] is always one well-formed value without surrounding white space; slices share the memory of
//! the text they came from. Text from outside is nested no deeper than [`MAX_DEPTH`]. What is put together from such
//! values ([`Json::array`], [`Json::object`]) may be deeper; then it is passed on as it is, but not taken apart.

#![forbid(unsafe_code)]

mod parts;
mod reader;
mod scan;
mod strict;
mod value;

pub use parts::{KeyRef, MemberRef, ValueRef};
pub use reader::{Members, Reader, members};
pub use scan::{MAX_DEPTH, ScanError, ScanErrorKind};
pub use value::{DecodeError, Json, Kind, Member};
