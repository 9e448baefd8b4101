//! Harnesses for real peers, recorded exchanges and impaired links

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

/// Where a file of recorded exchanges is, `nanograph-traces.json` for instance.
#[must_use]
pub fn vector_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name)
}
