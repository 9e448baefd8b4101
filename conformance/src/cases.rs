//! What every wire is asked, and what must come of it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nodewire::capability::{Feature, Support, Wire, support};
use serde_json::{Value, json};

/// Callers at once.
pub const CALLERS: usize = 64;

/// Executions of a node that takes two.
const TOO_MANY: usize = 5;

const MEBIBYTE: usize = 1 << 20;

/// One expectation, the same for all wires.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What it is called.
    pub name: &'static str,
    /// What a wire must be able to express for it.
    pub needs: &'static [Feature],
    /// What the client is told to do.
    pub command: fn() -> Value,
    /// What must come of it.
    pub expected: Expected,
    /// How many executions end how.
    pub counts: Counts,
}

/// What must come of a case.
#[derive(Debug, Clone, Copy)]
pub enum Expected {
    /// These outputs.
    Outputs(fn() -> Value),
    /// Of these events those that are progress, then these outputs.
    Progress(fn() -> Value, fn() -> Value),
    /// These events, then these outputs.
    Stream(fn() -> Value, fn() -> Value),
    /// This failure.
    Fails(Failure),
    /// The handler begins, is told to stop, and the caller is told in the wire's words.
    Cancelled,
    /// An answer of its own for each of [`CALLERS`].
    EachItsOwn,
    /// All but two are refused at once; those two complete.
    TwoComplete,
    /// What the executor counts of the node `echo`.
    Stats,
}

/// Why an execution has no outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// An input is of the wrong type.
    InvalidInput,
    /// Its time was over.
    Deadline,
    /// The handler panicked.
    Panic,
    /// There is no such node.
    UnknownNode,
    /// The node's queue is full.
    QueueFull,
    /// Its caller stopped it.
    Cancelled,
}

/// A failure in the words of a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// How the execution ended.
    pub end: &'static str,
    /// The wire's code for it; `None` where it has none, or none for certain.
    pub code: Option<&'static str>,
    /// Part of the message; empty where there is none.
    pub text: &'static str,
}

/// How many executions of a case ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// With outputs.
    pub completed: u64,
    /// With an error.
    pub failed: u64,
    /// As they were asked to.
    pub cancelled: u64,
    /// Before they began.
    pub refused: u64,
}

const NONE: Counts = Counts {
    completed: 0,
    failed: 0,
    cancelled: 0,
    refused: 0,
};
const ONE_COMPLETES: Counts = Counts {
    completed: 1,
    ..NONE
};
const ONE_FAILS: Counts = Counts { failed: 1, ..NONE };

/// All of them.
pub const CASES: &[Case] = &[
    Case {
        name: "echo",
        needs: &[],
        command: || {
            run(
                "echo",
                json!({"inputs": {"text": ["a", "é"]}, "parameters": {"prefix": "# "}}),
            )
        },
        expected: Expected::Outputs(|| json!({"text": ["# a", "# é"]})),
        counts: ONE_COMPLETES,
    },
    Case {
        name: "typed validation error",
        needs: &[Feature::ErrorKinds],
        command: || run("echo", json!({"inputs": {"text": ["a", 5]}})),
        expected: Expected::Fails(Failure::InvalidInput),
        counts: ONE_FAILS,
    },
    Case {
        name: "slow, with progress",
        needs: &[Feature::Progress],
        command: || run("slow", json!({"stream": true})),
        expected: Expected::Progress(steps, || json!({"n": [3]})),
        counts: ONE_COMPLETES,
    },
    Case {
        name: "slow, with progress and partial results",
        needs: &[Feature::Progress, Feature::PartialOutputs],
        command: || run("slow", json!({"stream": true})),
        expected: Expected::Stream(steps, || json!({"n": [3]})),
        counts: ONE_COMPLETES,
    },
    Case {
        name: "cancelled in the middle",
        needs: &[Feature::Progress, Feature::Cancel],
        command: || run("wait", json!({"stream": true, "cancel": true})),
        expected: Expected::Cancelled,
        counts: Counts {
            cancelled: 1,
            ..NONE
        },
    },
    Case {
        name: "deadline",
        needs: &[Feature::Deadline],
        command: || run("wait", json!({"timeout_ms": 150})),
        expected: Expected::Fails(Failure::Deadline),
        counts: ONE_FAILS,
    },
    Case {
        name: "panic",
        needs: &[Feature::ErrorKinds],
        command: || run("panic", json!({})),
        expected: Expected::Fails(Failure::Panic),
        counts: ONE_FAILS,
    },
    Case {
        name: "1 MiB of bytes",
        needs: &[Feature::Bytes],
        command: || run("reverse", json!({"inputs": {"data": bytes(mebibyte())}})),
        expected: Expected::Outputs(|| json!({"data": [bytes(mebibyte().rev())]})),
        counts: ONE_COMPLETES,
    },
    Case {
        name: "64 callers at once",
        needs: &[],
        command: || {
            many(
                (0..CALLERS).map(|caller| {
                    run(
                        "echo",
                        json!({"inputs": {"text": [format!("caller {caller}")]}}),
                    )
                }),
                None,
            )
        },
        expected: Expected::EachItsOwn,
        counts: Counts {
            completed: CALLERS as u64,
            ..NONE
        },
    },
    Case {
        name: "refused when full",
        needs: &[Feature::ErrorKinds],
        command: || {
            let open = run("open", json!({"inputs": {"permits": 2}}));
            let release = json!({"after": TOO_MANY - 2, "run": open});
            many(
                (0..TOO_MANY).map(|_| run("narrow", json!({}))),
                Some(release),
            )
        },
        expected: Expected::TwoComplete,
        // The one that opens the gate, too.
        counts: Counts {
            completed: 3,
            refused: TOO_MANY as u64 - 2,
            ..NONE
        },
    },
    Case {
        name: "unknown node",
        needs: &[Feature::ErrorKinds],
        command: || run("no-such-node", json!({})),
        expected: Expected::Fails(Failure::UnknownNode),
        counts: Counts { refused: 1, ..NONE },
    },
    Case {
        name: "stats",
        needs: &[Feature::Stats],
        command: || json!({"op": "stats", "node": "echo"}),
        expected: Expected::Stats,
        counts: NONE,
    },
];

/// What keeps a wire from a case, and what it says of that.
#[must_use]
pub fn cannot(wire: Wire, case: &Case) -> Option<(Feature, &'static str)> {
    case.needs
        .iter()
        .find_map(|&feature| match support(wire, feature) {
            Support::No(reason) => Some((feature, reason)),
            Support::Full | Support::As(_) => None,
        })
}

/// How a wire says it; the tables are in the wires' own documentation.
#[must_use]
pub const fn told(wire: Wire, failure: Failure) -> Told {
    match wire {
        Wire::Nanograph => match failure {
            Failure::Cancelled => fails(None, "Execution cancelled"),
            Failure::UnknownNode => fails(None, "Node definition not found: no-such-node"),
            Failure::InvalidInput | Failure::Deadline | Failure::Panic | Failure::QueueFull => {
                fails(None, text(failure))
            }
        },
        Wire::Nats => match failure {
            Failure::InvalidInput => fails(Some("400"), text(failure)),
            Failure::Deadline => fails(Some("408"), text(failure)),
            Failure::Panic => fails(Some("500"), text(failure)),
            Failure::UnknownNode => fails(Some("404"), text(failure)),
            Failure::QueueFull => fails(Some("429"), text(failure)),
            Failure::Cancelled => ends("cancelled", Some("499")),
        },
        Wire::Autotrainer => match failure {
            Failure::InvalidInput => fails(Some("FAILED 1"), text(failure)),
            Failure::Deadline => fails(Some("FAILED 4"), text(failure)),
            Failure::Panic => fails(Some("EXCEPTION 0"), text(failure)),
            Failure::UnknownNode => fails(Some("UNRECOGNIZED 20"), text(failure)),
            Failure::QueueFull => fails(Some("UNAVAILABLE 21"), text(failure)),
            Failure::Cancelled => fails(Some("FAILED 3"), text(failure)),
        },
        Wire::Nnrp => match failure {
            Failure::InvalidInput => fails(Some("MALFORMED_BODY"), text(failure)),
            Failure::Deadline => ends("dropped", Some("BUDGET_EXCEEDED")),
            Failure::Panic => fails(Some("INTERNAL_ERROR"), text(failure)),
            Failure::UnknownNode => fails(Some("UNSUPPORTED_CAPABILITY"), text(failure)),
            Failure::QueueFull => ends("dropped", Some("QUEUE_FULL")),
            Failure::Cancelled => ends("dropped", None),
        },
        Wire::Http => match failure {
            Failure::InvalidInput => fails(Some("400"), text(failure)),
            Failure::Deadline => fails(Some("504"), text(failure)),
            Failure::Panic => fails(Some("500"), text(failure)),
            Failure::UnknownNode => fails(Some("404"), text(failure)),
            Failure::QueueFull => fails(Some("429"), text(failure)),
            Failure::Cancelled => ends("gone", None),
        },
        Wire::Mcp => match failure {
            Failure::UnknownNode => fails(Some("-32602"), text(failure)),
            Failure::QueueFull => fails(Some("-32010"), text(failure)),
            Failure::Cancelled => ends("gone", None),
            Failure::InvalidInput | Failure::Deadline | Failure::Panic => {
                fails(Some("isError"), text(failure))
            }
        },
    }
}

/// Part of the message that every wire with messages has.
const fn text(failure: Failure) -> &'static str {
    match failure {
        Failure::InvalidInput => "`text`",
        Failure::Deadline => "deadline",
        Failure::Panic => "the node panicked: a defect",
        Failure::UnknownNode => "no-such-node",
        Failure::QueueFull => "overloaded",
        Failure::Cancelled => "cancelled",
    }
}

const fn fails(code: Option<&'static str>, text: &'static str) -> Told {
    Told {
        end: "failed",
        code,
        text,
    }
}

const fn ends(end: &'static str, code: Option<&'static str>) -> Told {
    Told {
        end,
        code,
        text: "",
    }
}

fn run(node: &str, mut command: Value) -> Value {
    command["op"] = json!("run");
    command["node"] = json!(node);
    command
}

fn many(runs: impl Iterator<Item = Value>, release: Option<Value>) -> Value {
    json!({"op": "many", "runs": runs.collect::<Vec<_>>(), "release": release})
}

fn steps() -> Value {
    let step = |step: u32| json!({"event": "progress", "step": step, "total": 3, "message": format!("step {step}")});
    json!([step(1), step(2), {"event": "partial", "outputs": {"n": [2]}}, step(3)])
}

fn mebibyte() -> impl DoubleEndedIterator<Item = u8> {
    (0..MEBIBYTE).map(|i| i.to_le_bytes()[i % 2])
}

fn bytes(content: impl Iterator<Item = u8>) -> Value {
    json!({"$bytes": STANDARD.encode(content.collect::<Vec<_>>())})
}
