//! What must hold for any input.
//!
//! Each function is the body of the fuzz target of its name (`fuzz/fuzz_targets`), and is run by ordinary tests over
//! the checked-in corpus (`fuzz/corpus`). A new decoder gets a function here.
//!
//! ```
//! nodewire_fuzz_oracles::json(br#"{"x": [NaN, 1e400, "\ud800"]}"#);
//! ```
//!
//! Invariants: none of these returns anything; they panic where the code under test is wrong.

#![forbid(unsafe_code)]

mod autotrainer;
mod nats;
mod nats_documents;
mod nnrp;
mod nnrp_connection;
mod nnrp_credit;
mod nnrp_monitor;
mod nnrp_operations;
mod nnrp_order;
mod nnrp_session;
mod nnrp_splitter;

pub use autotrainer::autotrainer_messages;
pub use nats::nats_protocol;
pub use nats_documents::nats_documents;
pub use nnrp::{nnrp_composed_bodies, nnrp_flat_bodies, nnrp_header, nnrp_hellos, nnrp_packets};
pub use nnrp_connection::nnrp_connection;
pub use nnrp_credit::nnrp_credit;
pub use nnrp_monitor::nnrp_monitor;
pub use nnrp_order::nnrp_order;
pub use nnrp_session::{nnrp_cache, nnrp_client_session, nnrp_server_session};
pub use nnrp_splitter::nnrp_splitter;

use nanocore::workflow::Graph;
use nanograph::config::ConfigFile;
use nanograph::message::{ClientMessage, ServerMessage};
use nodewire_json::Json;

/// What the scanner takes is well-formed: its slices are, and as standard JSON another parser takes it too. What
/// another parser takes, the scanner takes.
pub fn json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        assert!(Json::parse_bytes(data.to_vec()).is_err());
        return;
    };
    let scanned = Json::parse(text.to_owned());
    let other = serde_json::from_str::<serde_json::Value>(text);
    let Ok(json) = scanned else {
        assert!(
            other.is_err() || depth(text) > nodewire_json::MAX_DEPTH,
            "refused {text:?}"
        );
        return;
    };
    assert_eq!(Json::parse(json.as_str().to_owned()).as_ref(), Ok(&json));
    let strict = json.to_strict();
    assert!(
        strict.is_strict()
            && Json::parse(strict.as_str().to_owned()).is_ok_and(|again| again.is_strict())
    );
    if let Err(error) = serde_json::from_str::<serde_json::Value>(strict.as_str()) {
        // Standard JSON, but beyond what that parser can hold.
        let allowed = error.to_string().contains("number out of range");
        assert!(allowed, "{error}: {strict}");
    }
    parts(&json);
}

/// Arrays and objects come apart into well-formed values.
fn parts(json: &Json) {
    let elements = json.elements().unwrap_or_default();
    let members = json.entries().unwrap_or_default();
    for part in elements
        .iter()
        .chain(members.iter().map(|(_, value)| value))
    {
        assert!(Json::parse(part.as_str().to_owned()).is_ok_and(|again| again == *part));
    }
    for (key, _) in &members {
        assert!(json.get(key).is_some(), "{key:?} of {json}");
    }
}

/// An upper bound of how deeply the text nests.
fn depth(text: &str) -> usize {
    text.bytes()
        .filter(|byte| matches!(byte, b'[' | b'{'))
        .count()
}

/// Messages in both directions: what is read is written so that it is read again.
pub fn nanograph_messages(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(message) = ClientMessage::parse(text.to_owned()) {
        let written = message.to_text("server");
        assert_eq!(
            ClientMessage::parse(written).ok().as_ref(),
            Some(&message),
            "{text}"
        );
    }
    // Servers are read leniently; nothing is lost that would be needed, but not every text is written back.
    let _ = ServerMessage::parse(text.to_owned());
}

/// Configuration files: any text gives a result or problems with positions inside the text.
pub fn nanoserver_json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Err(error) = ConfigFile::parse(text) {
        assert!(!error.to_string().is_empty());
    }
}

/// Graphs: what is read is written so that it is read again as the same graph.
pub fn graph(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(graph) = Graph::parse(text) {
        let written = graph.to_json();
        let again = Graph::from_json(&written);
        assert!(
            again.is_ok_and(|again| again.to_json() == written),
            "{text}"
        );
    }
}
