//! What a request may be sent to.

use super::error::RequestError;

/// Refuses what the broker would refuse, or would never deliver, without an answer.
pub(super) fn check_subject(subject: &str) -> Result<(), RequestError> {
    match problem(subject) {
        None => Ok(()),
        Some(reason) => Err(RequestError::InvalidSubject {
            subject: subject.to_owned(),
            reason,
        }),
    }
}

/// Whether an endpoint's subject matches more than one subject.
pub(super) fn has_wildcards(subject: &str) -> bool {
    subject.split('.').any(|token| token == "*" || token == ">")
}

fn problem(subject: &str) -> Option<&'static str> {
    if subject.is_empty() {
        return Some("it is empty");
    }
    if subject.contains(|c: char| c.is_ascii_whitespace() || c.is_ascii_control()) {
        return Some("it has white space");
    }
    if subject.split('.').any(str::is_empty) {
        return Some("a token between dots is empty");
    }
    has_wildcards(subject).then_some("`*` and `>` stand for other tokens; write those instead")
}
