//! What each wire can express of an execution, as data.
//!
//! What a wire cannot express is logged when it starts, shown in its discovery where that has a place, and counted when
//! an execution loses it ([`RunningServer::lost`](crate::RunningServer::lost)): nothing is dropped silently.
//!
//! ```
//! use nodewire::capability::{Feature, Support, Wire, support};
//!
//! assert_eq!(support(Wire::Nats, Feature::Deadline), Support::Full);
//! assert!(matches!(support(Wire::Nanograph, Feature::Deadline), Support::No(_)));
//! ```

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A wire that nodes are served on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wire {
    /// Nanograph: HTTP and WebSocket, JSON.
    Nanograph,
    /// NATS services.
    Nats,
    /// The Autotrainer device API over ZeroMQ.
    Autotrainer,
    /// NNRP/1 over TCP, TLS and QUIC.
    Nnrp,
    /// Plain HTTP/1.1: JSON, forms and server-sent events.
    Http,
    /// The Model Context Protocol, over streamable HTTP and stdio.
    Mcp,
}

/// Something of an execution that a wire can express or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// How far it is, while it runs.
    Progress,
    /// Some outputs ahead of the end.
    PartialOutputs,
    /// The caller stops it.
    Cancel,
    /// The caller says when it is of no use any more.
    Deadline,
    /// The caller says which goes first among those waiting.
    Priority,
    /// Bytes at inputs and outputs.
    Bytes,
    /// References to content kept elsewhere.
    Assets,
    /// W3C `traceparent`.
    TraceContext,
    /// What kind of error or refusal it was, apart from its text.
    ErrorKinds,
    /// The statistics of nodes, for whoever asks.
    Stats,
}

/// How a wire expresses a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// As it is.
    Full,
    /// In another form, or on a condition: which.
    As(&'static str),
    /// Not at all: why.
    No(&'static str),
}

/// Something that executions lost because their wire could not carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lost {
    /// The wire.
    pub wire: Wire,
    /// What was lost.
    pub feature: Feature,
    /// How many executions lost it, each counted once.
    pub executions: u64,
}

impl Wire {
    /// Every wire, for tables that must be complete.
    pub const ALL: [Self; 6] = [
        Self::Nanograph,
        Self::Nats,
        Self::Autotrainer,
        Self::Nnrp,
        Self::Http,
        Self::Mcp,
    ];

    /// A stable name for metrics, flags and configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nanograph => "nanograph",
            Self::Nats => "nats",
            Self::Autotrainer => "autotrainer",
            Self::Nnrp => "nnrp",
            Self::Http => "http",
            Self::Mcp => "mcp",
        }
    }
}

impl Feature {
    /// Every feature, for tables that must be complete.
    pub const ALL: [Self; 10] = [
        Self::Progress,
        Self::PartialOutputs,
        Self::Cancel,
        Self::Deadline,
        Self::Priority,
        Self::Bytes,
        Self::Assets,
        Self::TraceContext,
        Self::ErrorKinds,
        Self::Stats,
    ];

    /// A stable name for metrics and discovery.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Progress => "progress",
            Self::PartialOutputs => "partial_outputs",
            Self::Cancel => "cancel",
            Self::Deadline => "deadline",
            Self::Priority => "priority",
            Self::Bytes => "bytes",
            Self::Assets => "assets",
            Self::TraceContext => "trace_context",
            Self::ErrorKinds => "error_kinds",
            Self::Stats => "stats",
        }
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Support {
    /// The form, the condition, or why not; `None` for [`Self::Full`].
    #[must_use]
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Full => None,
            Self::As(reason) | Self::No(reason) => Some(reason),
        }
    }
}

/// How this wire expresses this feature.
#[must_use]
pub const fn support(wire: Wire, feature: Feature) -> Support {
    match wire {
        Wire::Nanograph => nanograph(feature),
        Wire::Nats => nats(feature),
        Wire::Autotrainer => autotrainer(feature),
        Wire::Nnrp => nnrp(feature),
        Wire::Http => http(feature),
        Wire::Mcp => mcp(feature),
    }
}

/// All of what a wire can express, in the order of [`Feature::ALL`].
#[must_use]
pub fn capabilities(wire: Wire) -> [(Feature, Support); Feature::ALL.len()] {
    Feature::ALL.map(|feature| (feature, support(wire, feature)))
}

const fn nanograph(feature: Feature) -> Support {
    match feature {
        Feature::Progress | Feature::PartialOutputs | Feature::Cancel | Feature::Assets => {
            Support::Full
        }
        Feature::Bytes => Support::As("assets of the orchestrator"),
        Feature::TraceContext => {
            Support::As("a member `traceparent` of the request's payload, which is ours")
        }
        Feature::Deadline | Feature::Priority => Support::No("requests have no place for it"),
        Feature::ErrorKinds => Support::As("the text of the error alone"),
        Feature::Stats => Support::No("no message asks for them"),
    }
}

const fn nats(feature: Feature) -> Support {
    match feature {
        Feature::Progress | Feature::PartialOutputs => {
            Support::As("further replies, where the request has the header `Nodewire-Stream: 1`")
        }
        Feature::Cancel => Support::As("a message to a control subject"),
        Feature::Bytes => Support::As(
            "the message's body, where one input or output takes bytes; else base64; assets where too long",
        ),
        Feature::Deadline
        | Feature::Priority
        | Feature::Assets
        | Feature::TraceContext
        | Feature::ErrorKinds
        | Feature::Stats => Support::Full,
    }
}

const fn autotrainer(feature: Feature) -> Support {
    match feature {
        Feature::Progress | Feature::PartialOutputs => {
            Support::As("property changes, of which a slow subscriber may miss some")
        }
        Feature::Cancel => Support::As(
            "a command that names the nonce; an emergency stop cancels what all wires have asked for",
        ),
        Feature::Bytes => Support::As("base64 in `data`; assets where too long for a message"),
        Feature::Deadline | Feature::Priority | Feature::Assets | Feature::TraceContext => {
            Support::As("members of `data`")
        }
        Feature::ErrorKinds => Support::Full,
        Feature::Stats => Support::As("a command of its own"),
    }
}

const fn nnrp(feature: Feature) -> Support {
    match feature {
        Feature::Progress => Support::As(
            "partial results, where the submit allows them; else one result hint, without steps and texts",
        ),
        Feature::PartialOutputs => {
            Support::As("partial results, where the submit allows them; else left out")
        }
        Feature::Cancel | Feature::Deadline => Support::Full,
        Feature::Bytes => Support::As(
            "typed payloads and tensor tiles, without tile ids, element types and layouts; assets where too long",
        ),
        Feature::Priority => Support::As("a member of the structured event"),
        Feature::Assets => Support::As("references in structured events"),
        Feature::ErrorKinds => {
            Support::As("codes, some of which stand for two kinds, and the beginning of the text")
        }
        Feature::Stats => Support::As("the frame that asks what is served"),
        Feature::TraceContext => Support::As(
            "a member of the structured event; without it, the 64 bits of the header's trace id",
        ),
    }
}

const fn http(feature: Feature) -> Support {
    match feature {
        Feature::Progress | Feature::PartialOutputs => {
            Support::As("server-sent events, where the request accepts them")
        }
        Feature::Cancel => Support::As("the end of the connection"),
        Feature::Bytes => {
            Support::As("parts of a form, or the answer's body, where asked for; else base64")
        }
        Feature::Priority => Support::As("a member of the JSON, not in forms"),
        Feature::Deadline
        | Feature::Assets
        | Feature::TraceContext
        | Feature::ErrorKinds
        | Feature::Stats => Support::Full,
    }
}

const fn mcp(feature: Feature) -> Support {
    match feature {
        Feature::Progress => Support::As("notifications, where the request has a progress token"),
        Feature::PartialOutputs => Support::No("a call has one result"),
        Feature::Cancel => Support::As("a notification, or the end of the request's connection"),
        Feature::Deadline | Feature::Priority | Feature::TraceContext => {
            Support::As("members of the request's `_meta`")
        }
        Feature::Bytes => Support::As("base64: images and resources among a result's content"),
        Feature::Assets => Support::As("references in arguments and structured content"),
        Feature::ErrorKinds => {
            Support::As("a member of the result's `_meta`, or of an error's data")
        }
        Feature::Stats => Support::No("the protocol has no place for them"),
    }
}

/// Says once, as a wire starts, what it cannot express.
pub(crate) fn log(wire: Wire) {
    let missing: Vec<_> = capabilities(wire)
        .into_iter()
        .filter(|(_, support)| matches!(support, Support::No(_)))
        .map(|(feature, _)| feature.name())
        .collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        tracing::info!(%wire, missing, "this wire cannot express all of an execution");
    }
}

/// Counts what executions lost. Clones share everything.
#[derive(Debug, Clone, Default)]
pub(crate) struct Losses(Arc<[[AtomicU64; Feature::ALL.len()]; Wire::ALL.len()]>);

impl Losses {
    /// One execution lost this; to be called once per execution. The Nanograph wire alone loses nothing that it got.
    #[cfg(any(
        feature = "autotrainer",
        feature = "http",
        feature = "nats",
        feature = "nnrp",
        test
    ))]
    pub(crate) fn count(&self, wire: Wire, feature: Feature) {
        self.0[wire as usize][feature as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// What was lost so far.
    pub(crate) fn snapshot(&self) -> Vec<Lost> {
        let cell = |wire: Wire, feature: Feature| Lost {
            wire,
            feature,
            executions: self.0[wire as usize][feature as usize].load(Ordering::Relaxed),
        };
        Wire::ALL
            .into_iter()
            .flat_map(|wire| Feature::ALL.map(|feature| cell(wire, feature)))
            .filter(|lost| lost.executions > 0)
            .collect()
    }
}

/// What an execution told that its one answer has no place for; counted once, when it ends.
#[cfg(any(feature = "http", feature = "mcp"))]
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) progress: bool,
    pub(crate) partial: bool,
}

#[cfg(any(feature = "http", feature = "mcp"))]
impl Told {
    pub(crate) fn count(&self, losses: &Losses, wire: Wire) {
        if self.progress {
            losses.count(wire, Feature::Progress);
        }
        if self.partial {
            losses.count(wire, Feature::PartialOutputs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_indexed_by_their_own_order() {
        for (i, wire) in Wire::ALL.into_iter().enumerate() {
            assert_eq!(wire as usize, i);
        }
        for (i, feature) in Feature::ALL.into_iter().enumerate() {
            assert_eq!(feature as usize, i);
        }
    }

    #[test]
    fn losses_are_told_apart() {
        let losses = Losses::default();
        losses.count(Wire::Nats, Feature::Progress);
        losses.clone().count(Wire::Nats, Feature::Progress);
        losses.count(Wire::Nnrp, Feature::Assets);
        let told: Vec<_> = losses
            .snapshot()
            .into_iter()
            .map(|lost| (lost.wire, lost.feature, lost.executions))
            .collect();
        assert_eq!(
            told,
            [
                (Wire::Nats, Feature::Progress, 2),
                (Wire::Nnrp, Feature::Assets, 1)
            ]
        );
    }
}
