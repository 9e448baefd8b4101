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

/// Metrics for Prometheus, without their units' and types' suffixes where the format adds these.
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
}
