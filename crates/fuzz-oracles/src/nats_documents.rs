//! The documents of NATS services.

use std::fmt::Debug;

use nats_micro::document::{Document, Info, Ping, Stats};
use serde::Serialize;

/// What anybody may answer to a control request: what is read is written so that it is read again as the same.
pub fn nats_documents(data: &[u8]) {
    reads_what_it_writes::<Ping>(data);
    reads_what_it_writes::<Info>(data);
    reads_what_it_writes::<Stats>(data);
}

fn reads_what_it_writes<D: Document + Serialize + PartialEq + Debug>(data: &[u8]) {
    let Ok(document) = D::parse(data) else {
        return;
    };
    let written = serde_json::to_vec(&document);
    let again = written.ok().map(|written| D::parse(&written));
    assert!(
        matches!(&again, Some(Ok(again)) if *again == document),
        "{document:?} came back as {again:?}"
    );
}
