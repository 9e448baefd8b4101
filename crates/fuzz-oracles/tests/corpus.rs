//! Runs every oracle over its corpus, and over damaged copies of it: cut at every byte, and with single bits flipped.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use nodewire_fuzz_oracles::{
    autotrainer_messages, graph, json, nanograph_messages, nanoserver_json, nats_documents,
    nats_protocol, nnrp_cache, nnrp_client_session, nnrp_composed_bodies, nnrp_connection,
    nnrp_credit, nnrp_flat_bodies, nnrp_header, nnrp_hellos, nnrp_monitor, nnrp_order,
    nnrp_packets, nnrp_server_session, nnrp_splitter,
};

/// Longer inputs are not damaged at every byte, only at this many places.
const PLACES_MAX: usize = 400;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(name);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no corpus in {}", folder.display());
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn replay(name: &str, oracle: fn(&[u8])) {
    for input in corpus(name) {
        oracle(&input);
        let step = input.len() / PLACES_MAX + 1;
        for place in (0..input.len()).step_by(step) {
            oracle(&input[..place]);
            let mut flipped = input.clone();
            flipped[place] ^= 1 << (place % 8);
            oracle(&flipped);
        }
    }
}

#[test]
fn json_holds() {
    replay("json", json);
}

#[test]
fn nanograph_messages_hold() {
    replay("nanograph_messages", nanograph_messages);
}

#[test]
fn nanoserver_json_holds() {
    replay("nanoserver_json", nanoserver_json);
}

#[test]
fn graph_holds() {
    replay("graph", graph);
}

#[test]
fn nats_protocol_holds() {
    replay("nats_protocol", nats_protocol);
}

#[test]
fn nats_documents_hold() {
    replay("nats_documents", nats_documents);
}

#[test]
fn autotrainer_messages_hold() {
    replay("autotrainer_messages", autotrainer_messages);
}

#[test]
fn nnrp_header_holds() {
    replay("nnrp_header", nnrp_header);
}

#[test]
fn nnrp_packets_hold() {
    replay("nnrp_packets", nnrp_packets);
}

#[test]
fn nnrp_flat_bodies_hold() {
    replay("nnrp_flat_bodies", nnrp_flat_bodies);
}

#[test]
fn nnrp_composed_bodies_hold() {
    replay("nnrp_composed_bodies", nnrp_composed_bodies);
}

#[test]
fn nnrp_hellos_hold() {
    replay("nnrp_hellos", nnrp_hellos);
}

#[test]
fn nnrp_splitter_holds() {
    replay("nnrp_splitter", nnrp_splitter);
}

#[test]
fn nnrp_cache_holds() {
    replay("nnrp_cache", nnrp_cache);
}

#[test]
fn nnrp_client_session_holds() {
    replay("nnrp_client_session", nnrp_client_session);
}

#[test]
fn nnrp_server_session_holds() {
    replay("nnrp_server_session", nnrp_server_session);
}

#[test]
fn nnrp_credit_holds() {
    replay("nnrp_credit", nnrp_credit);
}

#[test]
fn nnrp_order_holds() {
    replay("nnrp_order", nnrp_order);
}

#[test]
fn nnrp_monitor_holds() {
    replay("nnrp_monitor", nnrp_monitor);
}

#[test]
fn nnrp_connection_holds() {
    replay("nnrp_connection", nnrp_connection);
}
