//! Why an object store is of no use, found out from what its client says, and what was seen of it last.

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use object_store::client::{HttpError, HttpErrorKind};
use serde::Serialize;

/// Longest error code of an object store that is passed on; theirs are short words.
const CODE_BYTES_MAX: usize = 64;

/// Codes with which S3 servers turn the signer of a request away.
const REFUSING: [&str; 9] = [
    "AccessDenied",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidSecurity",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
];

/// Why an object store could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ObjectsFailure {
    /// There are no keys to sign requests with.
    NoKeys,
    /// It does not answer.
    Unreachable,
    /// It refuses the keys.
    Refused,
    /// The bucket is not there.
    NoBucket,
    /// It failed in another way.
    Other,
}

impl ObjectsFailure {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::NoKeys,
        Self::Unreachable,
        Self::Refused,
        Self::NoBucket,
        Self::Other,
    ];

    /// The word for it in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoKeys => "no_keys",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::NoBucket => "no_bucket",
            Self::Other => "other",
        }
    }

    /// What is wrong and what to do, for people. Names no address, no key and nothing that the object store said.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::NoKeys => {
                "the object store for assets cannot be used without keys; start the daemon with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            }
            Self::Unreachable => {
                "the object store for assets does not answer; see that it runs and that its endpoint is right (s3 in config.json), then try again"
            }
            Self::Refused => {
                "the object store for assets refuses the daemon's keys; check them (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN), what they may do with the bucket, its region, and the clock of this machine"
            }
            Self::NoBucket => {
                "the bucket for assets is not in the object store; create it, or correct its name (s3 in config.json)"
            }
            Self::Other => {
                "the object store for assets failed; the daemon's log says why, and its endpoint and region may be wrong (s3 in config.json)"
            }
        }
    }

    /// What an object store's client reports as this.
    pub(super) fn of(error: &object_store::Error) -> Self {
        if has::<NoKeys>(error, |_| true) {
            return Self::NoKeys;
        }
        let code = code(error);
        match (code.as_deref(), error) {
            (Some("NoSuchBucket"), _) => Self::NoBucket,
            (Some(code), _) if REFUSING.contains(&code) => Self::Refused,
            (
                _,
                object_store::Error::PermissionDenied { .. }
                | object_store::Error::Unauthenticated { .. },
            ) => Self::Refused,
            _ if has::<HttpError>(error, is_unreachable) || has::<NoAnswer>(error, |_| true) => {
                Self::Unreachable
            }
            _ => Self::Other,
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::NoKeys => 0,
            Self::Unreachable => 1,
            Self::Refused => 2,
            Self::NoBucket => 3,
            Self::Other => 4,
        }
    }
}

/// Why requests cannot be signed.
#[derive(Debug, thiserror::Error)]
#[error("there are no keys to sign requests with")]
pub(super) struct NoKeys;

/// A request that took longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {after_s} s")]
pub(super) struct NoAnswer {
    pub(super) after_s: u64,
}

/// Whether one of the causes is such an error.
fn has<E: Error + 'static>(error: &object_store::Error, is_meant: impl Fn(&E) -> bool) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref().is_some_and(&is_meant) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn is_unreachable(error: &HttpError) -> bool {
    matches!(
        error.kind(),
        HttpErrorKind::Connect
            | HttpErrorKind::Request
            | HttpErrorKind::Timeout
            | HttpErrorKind::Interrupted
    )
}

/// The code in what an S3 server answers: `<Error><Code>NoSuchBucket</Code>…`. Its client keeps that as text only.
pub(super) fn code(error: &object_store::Error) -> Option<String> {
    let text = error.to_string();
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let is_word = code.len() <= CODE_BYTES_MAX && code.bytes().all(|c| c.is_ascii_alphanumeric());
    (is_word && !code.is_empty()).then(|| code.to_owned())
}

/// An object store that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct ObjectsProblem {
    /// Why.
    pub failure: ObjectsFailure,
    /// The code that the object store gave, such as `InvalidAccessKeyId`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What is wrong and what to do, for people.
    pub message: String,
    /// When that was seen last.
    #[schemars(with = "String")]
    pub at: Timestamp,
}

impl ObjectsProblem {
    pub(super) fn new(error: &object_store::Error) -> Self {
        let failure = ObjectsFailure::of(error);
        let code = code(error);
        let message = match &code {
            Some(code) => format!("{} ({code})", failure.message()),
            None => failure.message().to_owned(),
        };
        Self {
            failure,
            code,
            message,
            at: Timestamp::now(),
        }
    }
}

impl fmt::Display for ObjectsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What was seen of an object store.
#[derive(Debug, Default)]
pub(super) struct Seen {
    // A std mutex: held to copy, never over an await.
    last: Mutex<Option<ObjectsProblem>>,
    failures: [AtomicU64; ObjectsFailure::ALL.len()],
}

impl Seen {
    /// Notes how a request ended.
    pub(super) fn note(&self, error: Option<&object_store::Error>) {
        let problem = error.map(ObjectsProblem::new);
        if let Some(problem) = &problem {
            self.failures[problem.failure.index()].fetch_add(1, Ordering::Relaxed);
        }
        *self.last() = problem;
    }

    /// Why it could not be used the last time; `None` if it could, or was not asked yet.
    pub(super) fn problem(&self) -> Option<ObjectsProblem> {
        self.last().clone()
    }

    /// How often it could not be used for each reason.
    pub(super) fn counts(&self) -> [(ObjectsFailure, u64); ObjectsFailure::ALL.len()] {
        ObjectsFailure::ALL.map(|failure| {
            let count = self.failures[failure.index()].load(Ordering::Relaxed);
            (failure, count)
        })
    }

    fn last(&self) -> MutexGuard<'_, Option<ObjectsProblem>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn generic(text: &str) -> object_store::Error {
        object_store::Error::Generic {
            store: "S3",
            source: io::Error::other(text.to_owned()).into(),
        }
    }

    #[test]
    fn what_an_object_store_says_is_told_apart() {
        let said = |code: &str| generic(&format!("status 403: <Error><Code>{code}</Code></Error>"));
        let unanswered = object_store::Error::Generic {
            store: "S3",
            source: NoAnswer { after_s: 5 }.into(),
        };
        let unsigned = object_store::Error::Unauthenticated {
            path: "a".to_owned(),
            source: NoKeys.into(),
        };
        let denied = object_store::Error::PermissionDenied {
            path: "a".to_owned(),
            source: "no body".into(),
        };
        let expected = [
            (said("NoSuchBucket"), ObjectsFailure::NoBucket),
            (said("ExpiredToken"), ObjectsFailure::Refused),
            (denied, ObjectsFailure::Refused),
            (unsigned, ObjectsFailure::NoKeys),
            (unanswered, ObjectsFailure::Unreachable),
            (said("SlowDown"), ObjectsFailure::Other),
            (generic("no XML at all"), ObjectsFailure::Other),
        ];
        for (error, failure) in expected {
            assert_eq!(ObjectsFailure::of(&error), failure, "{error}");
        }
    }

    #[test]
    fn only_a_word_is_passed_on_as_code() {
        for odd in ["", "a b", "<b>", &"x".repeat(65)] {
            assert_eq!(code(&generic(&format!("<Code>{odd}</Code>"))), None);
        }
        let problem = ObjectsProblem::new(&generic("<Code>SlowDown</Code><Secret>s3cr3t</Secret>"));
        assert!(
            problem.message.ends_with("(SlowDown)"),
            "{}",
            problem.message
        );
        assert!(!problem.message.contains("s3cr3t"));
    }

    #[test]
    fn the_last_request_says_whether_it_can_be_used() {
        let seen = Seen::default();
        assert_eq!(seen.problem(), None);
        seen.note(Some(&generic("x")));
        assert_eq!(seen.problem().unwrap().failure, ObjectsFailure::Other);
        seen.note(None);
        assert_eq!(seen.problem(), None);
        assert_eq!(seen.counts()[4], (ObjectsFailure::Other, 1));
        let words: Vec<_> = ObjectsFailure::ALL.map(|failure| failure.index()).into();
        assert_eq!(words, [0, 1, 2, 3, 4]);
    }
}
