//! The registry `nodeservers.json`: which node servers there are. spec: nanograph 12.2
//!
//! People may edit the file by hand: keys that are not known are kept, in their place. Writers hold a lock file, and
//! replace the file as a whole, so that readers need no lock and never see half of it.
//!
//! ```
//! use nanocore::registry::{Entry, Registry};
//!
//! # let folder = tempfile::tempdir()?;
//! let registry = Registry::new(folder.path().join("nodeservers.json"));
//! let mut entry = Entry::new("0d0b3a3e");
//! entry.path = Some("/srv/image-tools".into());
//! registry.put(entry)?;
//! assert_eq!(registry.load()?.find("/srv/image-tools")?.server_uid, "0d0b3a3e");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod entries;
mod entry;
mod error;
mod file;
mod nats;

pub use entries::Entries;
pub use entry::{AssetRefs, Entry};
pub use error::{NameError, RegistryError};
pub use file::Registry;
pub(crate) use file::replace_file;
pub use nats::NatsService;

#[cfg(test)]
mod tests;
