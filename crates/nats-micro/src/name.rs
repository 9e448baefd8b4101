//! What names, versions, subjects and queue groups may be. spec: nats-micro 2.1, 2.2
//!
//! The checks are the strictest that every known implementation's valid services pass: what one library takes and the
//! broker then silently never delivers to (`a.>.b`) is refused here, before anything is subscribed.

use thiserror::Error;

/// Why a part of a service's description cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A service's name.
    #[error("service name {0:?}: use letters, digits, `_` and `-` (at least one)")]
    ServiceName(String),
    /// An endpoint's name.
    #[error("endpoint name {0:?}: use letters, digits, `_` and `-` (at least one)")]
    EndpointName(String),
    /// A version.
    #[error(
        "version {0:?}: use Semantic Versioning, such as 1.0.0 or 1.0.0-rc.1, without a leading `v`"
    )]
    Version(String),
    /// An instance's id.
    #[error("instance id {0:?}: use letters, digits, `_` and `-` (at least one)")]
    Id(String),
    /// A subject.
    #[error("subject {subject:?}: {reason}")]
    Subject {
        /// The subject.
        subject: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A group's prefix.
    #[error("group {group:?}: {reason}")]
    Group {
        /// The prefix.
        group: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A queue group.
    #[error(
        "queue group {0:?}: it must not be empty and have no spaces, `*` or `>`; to have none, disable it"
    )]
    QueueGroup(String),
    /// A prefix of control subjects.
    #[error(
        "control prefix {0:?}: use one or more tokens joined by dots, without spaces and wildcards"
    )]
    ControlPrefix(String),
    /// A reserved metadata key.
    #[error("metadata key {0:?}: keys that begin with `_nats` are reserved")]
    ReservedMetadata(String),
    /// Metadata over [`crate::MAX_METADATA_BYTES`].
    #[error(
        "metadata has {actual_bytes} bytes; at most {max_bytes} are allowed, keys and values together"
    )]
    MetadataSize {
        /// How much it is.
        actual_bytes: usize,
        /// How much it may be.
        max_bytes: usize,
    },
    /// A concurrency of 0, or over [`crate::MAX_CONCURRENCY`].
    #[error("a concurrency of {actual}: use 1 to {max}")]
    Concurrency {
        /// What was asked for.
        actual: usize,
        /// How much it may be.
        max: usize,
    },
}

pub(crate) fn check_service_name(name: &str) -> Result<(), ConfigError> {
    is_name(name)
        .then_some(())
        .ok_or_else(|| ConfigError::ServiceName(name.to_owned()))
}

pub(crate) fn check_endpoint_name(name: &str) -> Result<(), ConfigError> {
    is_name(name)
        .then_some(())
        .ok_or_else(|| ConfigError::EndpointName(name.to_owned()))
}

pub(crate) fn check_id(id: &str) -> Result<(), ConfigError> {
    is_name(id)
        .then_some(())
        .ok_or_else(|| ConfigError::Id(id.to_owned()))
}

pub(crate) fn check_version(version: &str) -> Result<(), ConfigError> {
    match semver::Version::parse(version) {
        Ok(_) => Ok(()),
        Err(_) => Err(ConfigError::Version(version.to_owned())),
    }
}

/// An endpoint's whole subject, the prefixes of its groups included.
pub(crate) fn check_subject(subject: &str, control_prefix: &str) -> Result<(), ConfigError> {
    let refuse = |reason| {
        Err(ConfigError::Subject {
            subject: subject.to_owned(),
            reason,
        })
    };
    if let Some(reason) = subject_problem(subject) {
        return refuse(reason);
    }
    if is_below(subject, control_prefix) || is_below(subject, crate::DEFAULT_CONTROL_PREFIX) {
        return refuse("it is reserved for control requests");
    }
    if !subject.is_ascii() {
        tracing::warn!(
            subject,
            "a subject that is not ASCII: some clients cannot name it"
        );
    }
    Ok(())
}

/// A group's prefix: a subject without `>`; empty for none.
pub(crate) fn check_group(group: &str) -> Result<(), ConfigError> {
    let refuse = |reason| {
        Err(ConfigError::Group {
            group: group.to_owned(),
            reason,
        })
    };
    if group.is_empty() {
        return Ok(());
    }
    if let Some(reason) = subject_problem(group) {
        return refuse(reason);
    }
    if group.split('.').any(|token| token == ">") {
        return refuse("`>` may only stand in an endpoint's subject");
    }
    Ok(())
}

pub(crate) fn check_queue_group(queue_group: &str) -> Result<(), ConfigError> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '*' || c == '>';
    if queue_group.is_empty() || queue_group.contains(bad) {
        return Err(ConfigError::QueueGroup(queue_group.to_owned()));
    }
    Ok(())
}

pub(crate) fn check_control_prefix(prefix: &str) -> Result<(), ConfigError> {
    let wild = |token: &str| token == "*" || token == ">";
    if subject_problem(prefix).is_some() || prefix.split('.').any(wild) {
        return Err(ConfigError::ControlPrefix(prefix.to_owned()));
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !text.is_empty() && text.bytes().all(allowed)
}

fn is_below(subject: &str, prefix: &str) -> bool {
    subject
        .strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn subject_problem(subject: &str) -> Option<&'static str> {
    if subject.is_empty() {
        return Some("it is empty");
    }
    if subject.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Some("it has white space");
    }
    let mut tokens = subject.split('.').peekable();
    while let Some(token) = tokens.next() {
        let problem = match token {
            "" => Some("a token between dots is empty"),
            ">" if tokens.peek().is_some() => Some("`>` may only stand at the end"),
            "*" | ">" => None,
            _ if token.contains(['*', '>']) => {
                Some("`*` and `>` are wildcards only as whole tokens between dots")
            }
            _ => None,
        };
        if problem.is_some() {
            return problem;
        }
    }
    None
}
