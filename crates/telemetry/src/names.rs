//! The names that spans, metrics and their attributes have, on every wire.

/// Attributes of spans.
pub mod attribute {
    /// The wire that an execution came over, or goes over.
    pub const WIRE: &str = "nodewire.wire";
    /// The node's uid.
    pub const NODE: &str = "nodewire.node";
    /// The execution, within its server.
    pub const EXECUTION: &str = "nodewire.execution.id";
    /// The caller's own name for the execution.
    pub const CALLER: &str = "nodewire.caller.id";
    /// How it ended: `completed`, `failed`, `cancelled` or `dropped`; of a run `complete`, `error` or `aborted`.
    pub const OUTCOME: &str = "nodewire.outcome";
    /// Microseconds from admission to start.
    pub const QUEUE_TIME: &str = "nodewire.queue_time_us";
    /// What kind of error it was.
    pub const ERROR_TYPE: &str = "error.type";
    /// The run, of a run and its steps.
    pub const RUN: &str = "nodewire.run.id";
    /// The placed node within the graph, of a step.
    pub const STEP_NODE: &str = "nodewire.step.node_id";
    /// Which attempt it is, of a step.
    pub const STEP_ATTEMPT: &str = "nodewire.step.attempt";
    /// The node server that a step was sent to.
    pub const SERVER: &str = "nodewire.server";
}

/// What the names of metrics begin with that only an orchestrator has: `nanocore_runs_complete_total` and others.
pub const ORCHESTRATOR: &str = "nanocore";

/// Labels of metrics.
pub mod label {
    /// The wire's name; `direct` for what a program submitted itself.
    pub const WIRE: &str = "wire";
    /// The node's uid.
    pub const NODE: &str = "node";
    /// What it came to.
    pub const OUTCOME: &str = "outcome";
    /// Why it was not admitted.
    pub const REASON: &str = "reason";
    /// What was lost.
    pub const FEATURE: &str = "feature";
}

/// Metrics for Prometheus that have one name wherever they are, without the suffixes of units and types that the format
/// adds (`_total`, `_seconds`).
///
/// | Name | Labels | At a node server | At an orchestrator |
/// |---|---|---|---|
/// | `nodewire_accepted_total` | `wire`, `node` | executions admitted | executions sent to node servers |
/// | `nodewire_executions_total` | `wire`, `node`, `outcome` | ended: `completed`, `failed`, `cancelled`, `dropped` | the same as far as it knows; `dropped` is also what was lost with its server or given up |
/// | `nodewire_execution_duration_seconds` | `wire`, `node` | histogram: from admission to end | |
/// | `nodewire_in_flight` | `wire`, `node` | waiting or running now | sent, and not ended |
/// | `nodewire_queued` | `wire`, `node` | of those, waiting now | |
/// | `nodewire_refused_total` | `wire`, `reason` | not admitted | |
/// | `nodewire_lost_total` | `wire`, `feature` | executions that lost what their wire cannot carry | |
/// | `nodewire_telemetry_spans_total` | `outcome` | spans: `exported`, `dropped`, `failed`, `rejected`, where they are exported | the same |
///
/// Both sides count the same execution, so a sum over all of Prometheus' targets counts it twice; by `job` it does not.
/// What only an orchestrator has begins with [`ORCHESTRATOR`].
pub mod metric {
    /// Executions admitted, by wire and node.
    pub const ACCEPTED: &str = "nodewire_accepted";
    /// Executions ended, by wire, node and outcome.
    pub const EXECUTIONS: &str = "nodewire_executions";
    /// From admission to end, by wire and node.
    pub const DURATION: &str = "nodewire_execution_duration";
    /// Executions waiting or running, by wire and node.
    pub const IN_FLIGHT: &str = "nodewire_in_flight";
    /// Of those, the ones waiting, by wire and node.
    pub const QUEUED: &str = "nodewire_queued";
    /// Requests not admitted, by wire and reason.
    pub const REFUSED: &str = "nodewire_refused";
    /// Executions that lost something their wire cannot carry, by wire and feature.
    pub const LOST: &str = "nodewire_lost";
    /// Spans, by what became of them.
    pub const SPANS: &str = "nodewire_telemetry_spans";

    /// All of them.
    pub const ALL: [&str; 8] = [
        ACCEPTED, EXECUTIONS, DURATION, IN_FLIGHT, QUEUED, REFUSED, LOST, SPANS,
    ];
}
