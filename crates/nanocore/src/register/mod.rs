//! Registering a node server: its folder is checked, what it depends on is installed, and it gets an entry in the
//! registry. spec: nanograph 12.3
//!
//! [`check()`] reports everything at once and changes nothing. [`register()`] goes on from there; a failed installation
//! leaves no entry behind and can be repeated. Registering again keeps uid, port, variables and unknown keys.

mod check;
mod error;
mod finding;
mod sdk;
mod steps;

use std::path::Path;

pub use check::{Checked, check};
pub use error::RegisterError;
pub use finding::{Finding, Level};
pub use sdk::{Sdk, installed_sdk};
pub use steps::{RegisterOptions, Registered, Step, register};

use crate::registry::{Entry, Registry};

/// Removes a server from the registry, by uid, package id, display name or path. Its files are left alone. Blocks on
/// the file system.
///
/// # Errors
/// No server is called so, or several are; the registry cannot be read or written.
pub fn unregister(name: &str, registry: &Registry) -> Result<Entry, RegisterError> {
    let entries = registry.load()?;
    let server_uid = match entries.find(name) {
        Ok(entry) => entry.server_uid.clone(),
        // A path may be given from the current folder.
        Err(error) => match entries.at(Path::new(name)) {
            Some(entry) => entry.server_uid.clone(),
            None => return Err(error.into()),
        },
    };
    let removed = registry.remove(&server_uid)?;
    removed.ok_or_else(|| {
        let known = Vec::new();
        let name = name.to_owned();
        crate::registry::NameError::Unknown { name, known }.into()
    })
}
