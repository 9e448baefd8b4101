//! The recorded exchanges of `nnrp-py` with itself.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use super::NnrpTransport;
use crate::from_hex;

/// Where they are; the tests of `nnrp-wire` have them compiled in.
const FOLDER: &str = "../nnrp-wire/tests/vectors";

/// A recorded exchange.
#[derive(Debug, Clone)]
pub struct NnrpTrace {
    /// `hello_only` for instance.
    pub name: String,
    /// What carried it.
    pub transport: NnrpTransport,
    /// Its connections, which followed one another.
    pub connections: Vec<Vec<NnrpTraceStep>>,
}

/// What one side did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NnrpTraceStep {
    /// Whether the side that opened the connection did it.
    pub by_client: bool,
    /// What it did.
    pub event: NnrpTraceEvent,
}

/// What a side of a connection does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NnrpTraceEvent {
    /// It writes.
    Write {
        /// The type of the message; `UNDECODABLE` and `TRUNCATED` are no packets.
        message: String,
        /// The stream; 0 over TCP.
        stream: u64,
        /// One packet, unless the message says otherwise.
        bytes: Vec<u8>,
        /// Whether that ends the stream, which over TCP is [`Self::Fin`].
        fin: bool,
        /// What changes from run to run, `metadata.probe_id` for instance.
        volatile: Vec<String>,
    },
    /// It sends a datagram over QUIC.
    Datagram(Vec<u8>),
    /// It ends what it sends over TCP.
    Fin,
    /// It closes the connection over QUIC, with code 0.
    Close,
}

/// All recorded exchanges over a transport.
///
/// # Errors
/// The file cannot be read.
pub fn nnrp_traces(transport: NnrpTransport) -> anyhow::Result<Vec<NnrpTrace>> {
    let name = match transport {
        NnrpTransport::Tcp => "nnrp-tcp-traces.json",
        NnrpTransport::Quic => "nnrp-quic-stream-traces.json",
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER);
    let file = folder.join(name);
    let text = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let traces: Value = serde_json::from_slice(&text)?;
    let traces = items(&traces["scenarios"])?.iter();
    traces.map(|value| trace(value, transport)).collect()
}

fn trace(value: &Value, transport: NnrpTransport) -> anyhow::Result<NnrpTrace> {
    let connections = items(&value["connections"])?.iter();
    let connections = connections.map(|connection| {
        let events = items(&connection["events"])?.iter();
        events.map(step).collect()
    });
    Ok(NnrpTrace {
        name: text(&value["name"])?,
        transport,
        connections: connections.collect::<anyhow::Result<_>>()?,
    })
}

fn step(value: &Value) -> anyhow::Result<NnrpTraceStep> {
    let event = match value["event"].as_str() {
        None => write(value)?,
        Some("datagram") => NnrpTraceEvent::Datagram(from_hex(&text(&value["hex"])?)?),
        Some("fin") => NnrpTraceEvent::Fin,
        Some("connection_close") => NnrpTraceEvent::Close,
        Some(other) => anyhow::bail!("the recording has an event {other}"),
    };
    Ok(NnrpTraceStep {
        by_client: value["dir"] == "c2s",
        event,
    })
}

fn write(value: &Value) -> anyhow::Result<NnrpTraceEvent> {
    let volatile = value["volatile"].as_array();
    let volatile = volatile.into_iter().flatten();
    Ok(NnrpTraceEvent::Write {
        message: text(&value["msg"])?,
        stream: value["stream_id"].as_u64().unwrap_or(0),
        bytes: from_hex(&text(&value["hex"])?)?,
        fin: value["fin"] == true,
        volatile: volatile.map(text).collect::<anyhow::Result<_>>()?,
    })
}

fn items(value: &Value) -> anyhow::Result<&Vec<Value>> {
    value.as_array().context("the recording has no list there")
}

fn text(value: &Value) -> anyhow::Result<String> {
    let text = value.as_str().context("the recording has no text there")?;
    Ok(text.to_owned())
}
