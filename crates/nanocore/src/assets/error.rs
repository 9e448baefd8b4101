//! [`StoreError`]: why the store could not do something.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use super::outage::{self, ObjectsFailure, ObjectsProblem};

/// Longest text of causes that is logged. An object's key, which is in it twice, and an address leave about half of it for
/// what the object store answered.
const CAUSES_BYTES_MAX: usize = 600;

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The content is longer than [`super::StoreOptions::asset_bytes_max`].
    #[error("the asset is longer than the limit of {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// As many uploads as allowed are going on.
    #[error("{limit} uploads are going on already; try again later")]
    Busy {
        /// The limit.
        limit: usize,
    },
    /// Another process uses the folder.
    #[error("{} is in use by another process", folder.display())]
    Locked {
        /// The store's folder.
        folder: PathBuf,
    },
    /// No such asset.
    #[error("there is no such asset")]
    NotFound,
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The object store refused, or could not be reached.
    #[error("cannot {action} the content {key}: {}", failure.message())]
    Objects {
        /// In which way.
        failure: ObjectsFailure,
        /// What was tried.
        action: &'static str,
        /// The object's key.
        key: String,
        /// The object store's reason.
        source: object_store::Error,
    },
}

impl StoreError {
    /// Whether there was no room: a full disk, a quota, or a limit on the length of files.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = Some(self);
        while let Some(error) = cause {
            if error.downcast_ref::<io::Error>().is_some_and(is_full) {
                return true;
            }
            cause = error.source();
        }
        false
    }

    /// What it says of the object store, for people; `None` if it is not about that.
    #[must_use]
    pub fn problem(&self) -> Option<ObjectsProblem> {
        match self {
            Self::Objects { source, .. } => Some(ObjectsProblem::new(source)),
            Self::TooLarge { .. }
            | Self::Busy { .. }
            | Self::Locked { .. }
            | Self::NotFound
            | Self::Io { .. } => None,
        }
    }

    /// What the log says of it, in one text. An object store's client repeats what it was answered in each cause, and that
    /// may be a page of XML.
    pub(crate) fn for_log(&self) -> String {
        let mut text = self.to_string();
        if let Self::Objects { source, .. } = self
            && let Some(code) = outage::code(source)
        {
            text.push_str(&format!(" ({code})"));
        }
        let causes = causes(self);
        if !causes.is_empty() {
            text.push_str(": ");
            text.push_str(&causes);
        }
        text
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// A task of the store that panicked or was stopped with the runtime.
    pub(crate) fn ended(error: tokio::task::JoinError) -> Self {
        Self::Io {
            action: "finish work on",
            path: PathBuf::from("the asset store"),
            source: io::Error::other(error),
        }
    }
}

/// The causes of an error, each but once, on one line.
fn causes(error: &StoreError) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !texts.iter().any(|told| told.contains(&text)) {
            texts.push(text);
        }
        cause = error.source();
    }
    shortened(&texts.join(": "))
}

fn shortened(text: &str) -> String {
    let mut end = text.len().min(CAUSES_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let line = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = text[..end].chars().map(line).collect();
    if end < text.len() {
        short.push('…');
    }
    short
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Said {
        text: String,
        source: Option<Box<Self>>,
    }

    fn objects(text: &str, cause: &str) -> StoreError {
        let cause = Said {
            text: cause.to_owned(),
            source: None,
        };
        let said = Said {
            text: text.to_owned(),
            source: Some(Box::new(cause)),
        };
        let source = object_store::Error::Generic {
            store: "S3",
            source: said.into(),
        };
        StoreError::Objects {
            failure: ObjectsFailure::of(&source),
            action: "write",
            key: "ab/abcd".to_owned(),
            source,
        }
    }

    #[test]
    fn the_log_has_what_an_object_store_said_once_and_shortened() {
        let body = format!(
            "<Error>\n<Code>SlowDown</Code>{}</Error>",
            "é".repeat(4_000)
        );
        let text = objects(&format!("status 503: {body}"), &body).for_log();
        let told = "cannot write the content ab/abcd: ";
        assert!(
            text.starts_with(told) && text.contains("(SlowDown): Generic S3"),
            "{text}"
        );
        assert_eq!(text.matches("<Code>").count(), 1, "{text}");
        assert!(text.len() < 1_000 && text.ends_with('…'), "{text}");
        assert!(!text.contains('\n'), "{text}");
    }

    #[test]
    fn the_log_has_each_cause() {
        let text = objects("HTTP error", "connection refused").for_log();
        assert!(text.ends_with("HTTP error: connection refused"), "{text}");
        let io = StoreError::io("read", Path::new("/a"))(io::ErrorKind::NotFound.into());
        assert_eq!(io.for_log(), "cannot read /a: entity not found");
        assert_eq!(StoreError::NotFound.for_log(), "there is no such asset");
    }
}
