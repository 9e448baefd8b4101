//! All settings there are: one list, from which files, variables, flags, help and documentation follow.

use super::value::Kind::{
    self, Address, Choice, Domain, Endpoint, Ips, Number, Numbers, Path, Ratio, Switch, Text, Url,
    Words,
};

/// A table of `nodewire.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    Server,
    Log,
    Telemetry,
    Metrics,
    Executor,
    Nanograph,
    Nats,
    Autotrainer,
    Nnrp,
    Http,
    Mcp,
}

/// A table that other programs read.
pub(super) const OTHERS_TABLES: [&str; 1] = ["catalogue"];

impl Table {
    pub(super) const ALL: [Self; 11] = [
        Self::Server,
        Self::Log,
        Self::Telemetry,
        Self::Metrics,
        Self::Executor,
        Self::Nanograph,
        Self::Nats,
        Self::Autotrainer,
        Self::Nnrp,
        Self::Http,
        Self::Mcp,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Log => "log",
            Self::Telemetry => "telemetry",
            Self::Metrics => "metrics",
            Self::Executor => "executor",
            Self::Nanograph => "nanograph",
            Self::Nats => "nats",
            Self::Autotrainer => "autotrainer",
            Self::Nnrp => "nnrp",
            Self::Http => "http",
            Self::Mcp => "mcp",
        }
    }

    pub(super) fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    pub(super) const fn about(self) -> &'static str {
        match self {
            Self::Server => "who the server is, and how it stops",
            Self::Log => "the log on standard error",
            Self::Telemetry => "traces, exported with OTLP over HTTP",
            Self::Metrics => "metrics for Prometheus, on an address of their own",
            Self::Executor => "bounds of executions, over all wires",
            Self::Nanograph => "the Nanograph wire, for orchestrators",
            Self::Nats => "a service on a NATS broker",
            Self::Autotrainer => "a device service over ZeroMQ",
            Self::Nnrp => "NNRP, over QUIC and TCP",
            Self::Http => "plain HTTP",
            Self::Mcp => "MCP over streamable HTTP, for assistants",
        }
    }

    pub(super) const fn is_wire(self) -> bool {
        !matches!(
            self,
            Self::Server | Self::Log | Self::Telemetry | Self::Metrics | Self::Executor
        )
    }

    /// Whether it says that something is served, which is not served without it.
    pub(super) const fn has_switch(self) -> bool {
        self.is_wire() || matches!(self, Self::Metrics)
    }

    /// Whether this build has it. Each wire but Nanograph is a feature of its name.
    pub(super) const fn is_built(self) -> bool {
        match self {
            Self::Server
            | Self::Log
            | Self::Telemetry
            | Self::Metrics
            | Self::Executor
            | Self::Nanograph => true,
            Self::Nats => cfg!(feature = "nats"),
            Self::Autotrainer => cfg!(feature = "autotrainer"),
            Self::Nnrp => cfg!(feature = "nnrp"),
            Self::Http => cfg!(feature = "http"),
            Self::Mcp => cfg!(feature = "mcp"),
        }
    }
}

/// One setting.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) table: Table,
    pub(super) key: &'static str,
    pub(super) kind: Kind,
    /// What counts if nobody says anything, as TOML; empty if nothing does.
    pub(super) default: &'static str,
    /// Whether it is a secret, which only the environment may hold.
    pub(super) is_secret: bool,
    pub(super) about: &'static str,
}

impl Setting {
    pub(super) fn variable(&self) -> String {
        format!("NODEWIRE_{}_{}", self.table.name(), self.key).to_uppercase()
    }

    pub(super) fn flag(&self) -> String {
        format!("--{}-{}", self.table.name(), self.key).replace('_', "-")
    }

    /// How messages call it.
    pub(super) fn name(&self) -> String {
        format!("[{}] {}", self.table.name(), self.key)
    }
}

/// The setting of this table and key.
pub(super) fn find(table: Table, key: &str) -> Option<&'static Setting> {
    of_table(table).find(|setting| setting.key == key)
}

pub(super) fn of_table(table: Table) -> impl Iterator<Item = &'static Setting> {
    SETTINGS
        .iter()
        .filter(move |setting| setting.table == table)
}

const fn setting(
    table: Table,
    key: &'static str,
    kind: Kind,
    default: &'static str,
    about: &'static str,
) -> Setting {
    Setting {
        table,
        key,
        kind,
        default,
        is_secret: false,
        about,
    }
}

const fn secret(table: Table, key: &'static str, about: &'static str) -> Setting {
    Setting {
        table,
        key,
        kind: Text,
        default: "",
        is_secret: true,
        about,
    }
}

const fn enabled(table: Table) -> Setting {
    setting(
        table,
        "enabled",
        Switch,
        "",
        "whether it is served; true if its table is there",
    )
}

/// No count, and no number of bytes, goes beyond this.
const MANY: Kind = Number(1, 1 << 40);
const COUNT: Kind = Number(1, 1_000_000);
const COUNT_OR_NONE: Kind = Number(0, 1_000_000);
const PORT: Kind = Number(0, 65_535);
/// Up to a day.
const MILLISECONDS: Kind = Number(0, 24 * 60 * 60 * 1000);
const SOME_MILLISECONDS: Kind = Number(1, 24 * 60 * 60 * 1000);

pub(super) const SECURITY: &[&str] = &["tls", "self-signed", "plain", "plain-and-quic"];
pub(super) const LOG_FORMATS: &[&str] = &["text", "json"];
pub(super) const LOG_LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];

use Table::{
    Autotrainer, Executor, Http, Log, Mcp, Metrics, Nanograph, Nats, Nnrp, Server, Telemetry,
};

#[rustfmt::skip]
pub(super) const SETTINGS: &[Setting] = &[
    setting(Server, "name", Text, "", "what the server is called, on every wire; also the NATS service and the device's identifier, unless they say otherwise; by default the program's file name"),
    setting(Server, "version", Text, "", "its version on every wire, by Semantic Versioning"),
    setting(Server, "drain_ms", MILLISECONDS, "5000", "how long executions may go on after a stop was asked for"),

    setting(Log, "format", Choice(LOG_FORMATS), "\"text\"", "how lines look"),
    setting(Log, "level", Choice(LOG_LEVELS), "\"info\"", "the least that is logged; NANOSDK_LOG_LEVEL, NANOCORE_LOG_LEVEL and LOG_LEVEL win over the file"),

    setting(Telemetry, "enabled", Switch, "true", "whether traces are exported where there is an endpoint; as OTEL_SDK_DISABLED, the other way round"),
    setting(Telemetry, "endpoint", Endpoint, "", "the collector, by what stands before `/v1/traces`, such as http://127.0.0.1:4318; as OTEL_EXPORTER_OTLP_ENDPOINT"),
    secret(Telemetry, "headers", "further headers of each export, `key=value,…`, values percent-encoded; as OTEL_EXPORTER_OTLP_HEADERS"),
    setting(Telemetry, "headers_file", Path, "", "a file with them"),
    setting(Telemetry, "service_name", Text, "", "who the traces are of; by default the server's name, or the program's file name; as OTEL_SERVICE_NAME"),
    setting(Telemetry, "resource", Text, "", "further attributes of who they are of, `key=value,…`, values percent-encoded; as OTEL_RESOURCE_ATTRIBUTES"),
    setting(Telemetry, "sample_ratio", Ratio, "1.0", "which part of the traces that begin here is recorded, from 0 to 1; as OTEL_TRACES_SAMPLER_ARG"),
    setting(Telemetry, "follow_parent", Switch, "true", "whether a trace that came from elsewhere is recorded if, and only if, it is recorded there; as `parentbased_…` of OTEL_TRACES_SAMPLER"),
    setting(Telemetry, "timeout_ms", SOME_MILLISECONDS, "10000", "how long one attempt to export may take; as OTEL_EXPORTER_OTLP_TIMEOUT"),
    setting(Telemetry, "retries_max", COUNT_OR_NONE, "3", "how often a batch is exported again when the collector is not there or asks for it"),
    setting(Telemetry, "span_queue_max", COUNT, "4096", "spans that may wait; further ones are dropped and counted"),
    setting(Telemetry, "span_batch_max", COUNT, "512", "spans of one export"),
    setting(Telemetry, "span_interval_ms", SOME_MILLISECONDS, "5000", "how long a span waits at most until it is exported"),
    setting(Telemetry, "flush_timeout_ms", MILLISECONDS, "5000", "how long the last export may take when the program ends"),

    enabled(Metrics),
    setting(Metrics, "listen", Address, "\"127.0.0.1:0\"", "where `GET /metrics` is answered; port 0 lets the system choose; there is no TLS"),
    secret(Metrics, "token", "the token that scrapes must have; without one whoever reaches the port may read them, except pages in a browser"),
    setting(Metrics, "token_file", Path, "", "a file with the token"),
    setting(Metrics, "token_env", Text, "", "the environment variable with the token"),
    setting(Metrics, "connections_max", COUNT, "16", "connections at once"),

    setting(Executor, "in_flight_max", MANY, "16384", "executions waiting or running at once, over all nodes"),
    setting(Executor, "concurrency", COUNT, "256", "executions of one node running at once, where the node does not say"),
    setting(Executor, "queue", COUNT_OR_NONE, "1024", "executions of one node waiting, where the node does not say"),
    setting(Executor, "grace_ms", MILLISECONDS, "2000", "how long a handler may take to react to a cancellation"),
    setting(Executor, "events_max", COUNT, "64", "progress and partial outputs of one execution that wait for a slow reader; beyond that partial outputs wait in the node, and progress is dropped and counted"),
    setting(Executor, "events_bytes_max", MANY, "8388608", "their bytes"),
    setting(Executor, "events_bytes_held_max", MANY, "268435456", "the same for all executions together"),
    setting(Executor, "asset_bytes_max", MANY, "268435456", "bytes of assets that are fetched for the inputs of one execution"),
    setting(Executor, "asset_bytes_held_max", MANY, "1073741824", "bytes of fetched assets that all executions hold at once; beyond them executions are refused as overloaded"),
    setting(Executor, "asset_fetches_max", COUNT, "16", "executions that have assets fetched for their inputs at once; others wait"),
    setting(Executor, "asset_timeout_ms", SOME_MILLISECONDS, "120000", "how long it may take to fetch the assets of one execution's inputs, and each call for an asset by a node"),

    enabled(Nanograph),
    setting(Nanograph, "listen", Address, "\"127.0.0.1:3017\"", "where to listen; PORT wins over the file's port, which wins over that of nanoserver.json; the protocol has no authentication"),
    setting(Nanograph, "server_uid", Text, "", "identifies this installation; as `serverUid` of nanoserver.json, which then need not be there"),
    setting(Nanograph, "server_package_id", Text, "", "identifies the package; as `serverPackageId` there, or else the server's name"),
    setting(Nanograph, "server_display_name", Text, "", "for people; as `serverDisplayName` there, or else the server's name"),
    setting(Nanograph, "domain", Domain, "", "groups servers that share one asset server; as `domain` there"),
    setting(Nanograph, "fetch_bytes_max", MANY, "268435456", "bytes of an asset that is fetched into memory"),
    setting(Nanograph, "transfers_max", COUNT, "16", "executions that fetch or store assets at once; others wait"),

    enabled(Nats),
    setting(Nats, "url", Url, "\"nats://127.0.0.1:4222\"", "the broker; several are separated by commas"),
    setting(Nats, "service", Text, "", "the service's name, of letters, digits, `_` and `-`; servers with the same one share the load"),
    setting(Nats, "version", Text, "", "the service's version; by default the server's, or 0.0.0"),
    setting(Nats, "description", Text, "", "what it is for, for people"),
    setting(Nats, "group", Text, "", "what the subjects begin with; by default the service's name"),
    setting(Nats, "queue_group", Text, "\"q\"", "the queue group that shares the load"),
    setting(Nats, "credentials_file", Path, "", "a `.creds` file with JWT and seed"),
    setting(Nats, "nkey_file", Path, "", "a file with the seed of an NKey"),
    setting(Nats, "user", Text, "", "a user, with a password"),
    secret(Nats, "password", "the user's password"),
    setting(Nats, "password_file", Path, "", "a file with the user's password"),
    secret(Nats, "token", "a token"),
    setting(Nats, "token_file", Path, "", "a file with a token"),
    setting(Nats, "tls_ca_file", Path, "", "authorities in PEM; TLS is then required"),
    setting(Nats, "tls_cert_file", Path, "", "the certificate to show, in PEM; with its key"),
    setting(Nats, "tls_key_file", Path, "", "the certificate's key, in PEM"),
    setting(Nats, "connect_attempts", COUNT, "1", "how often to try the broker at first, 2 s apart"),
    setting(Nats, "requests_max", COUNT, "1536", "requests of one endpoint at once"),
    setting(Nats, "bytes_max", MANY, "268435456", "bytes of request bodies at once"),
    setting(Nats, "unwritten_bytes_max", MANY, "16777216", "bytes of progress and partial outputs that the connection may hold before further ones wait"),

    enabled(Autotrainer),
    setting(Autotrainer, "identifier", Text, "", "who the heartbeats say it is; by default the server's name"),
    setting(Autotrainer, "listen", Ips, "[\"127.0.0.1\"]", "where to listen"),
    setting(Autotrainer, "event_port", PORT, "5556", "the port for events; 0 lets the system choose"),
    setting(Autotrainer, "command_port", PORT, "5557", "the port for commands; 0 lets the system choose"),
    setting(Autotrainer, "curve_key_file", Path, "", "a file with the service's CURVE secret key; without it whoever reaches the ports can run everything"),
    setting(Autotrainer, "curve_clients", Words, "", "public keys of the clients that are admitted; by default all who know the service's public key"),
    setting(Autotrainer, "heartbeat_interval_ms", SOME_MILLISECONDS, "5000", "between heartbeats"),
    setting(Autotrainer, "commands", Numbers, "", "numbers of nodes by their uids, as `customCommand`"),
    setting(Autotrainer, "first_command", Number(1, i64::MAX), "1000", "where numbers of the other nodes start"),
    setting(Autotrainer, "quick_nodes", Words, "[]", "nodes that answer with their result"),
    setting(Autotrainer, "quick_node_wait_ms", MILLISECONDS, "1000", "how long their answers may wait for it"),
    setting(Autotrainer, "in_flight_max", MANY, "4096", "executions of this wire at once"),
    setting(Autotrainer, "message_bytes_max", MANY, "8388608", "bytes of a message, either way"),

    enabled(Nnrp),
    setting(Nnrp, "listen", Address, "\"127.0.0.1:0\"", "where to listen; port 0 lets the system choose"),
    setting(Nnrp, "security", Choice(SECURITY), "", "`tls`, with a certificate; `self-signed`, with one that is made at every start; `plain` TCP, on loopback; `plain-and-quic`, which has a self-signed one unless a certificate is given; by default `tls` if there is a certificate, or else `self-signed`"),
    setting(Nnrp, "tls_cert_file", Path, "", "the certificate chain, in PEM"),
    setting(Nnrp, "tls_key_file", Path, "", "its key, in PEM"),
    setting(Nnrp, "tls_cert_out_file", Path, "", "where a self-signed certificate is written, for clients to trust"),
    setting(Nnrp, "connections_max", COUNT, "10000", "connections at once"),
    setting(Nnrp, "sessions_max", COUNT, "1024", "sessions at once"),
    setting(Nnrp, "result_bytes_max", Number(1, u32::MAX as i64), "33554432", "bytes of one result; longer outputs become assets; clients of the nnrp crate read no more than this unless set"),

    enabled(Http),
    setting(Http, "listen", Address, "\"127.0.0.1:0\"", "where to listen; port 0 lets the system choose; there is no TLS"),
    secret(Http, "token", "the token that requests must have"),
    setting(Http, "token_file", Path, "", "a file with the token"),
    setting(Http, "token_env", Text, "", "the environment variable with the token"),
    setting(Http, "open", Switch, "false", "take requests without a token from everybody who reaches the port, except from pages in a browser"),
    setting(Http, "body_bytes_max", MANY, "33554432", "bytes of one body"),
    setting(Http, "bodies_bytes_max", MANY, "268435456", "bytes of bodies at once"),
    setting(Http, "body_timeout_ms", SOME_MILLISECONDS, "60000", "how long a body may take to arrive"),
    setting(Http, "head_timeout_ms", SOME_MILLISECONDS, "60000", "how long a request's head may take to arrive"),
    setting(Http, "write_timeout_ms", SOME_MILLISECONDS, "60000", "how long a client may take nothing of what is sent to it"),
    setting(Http, "connections_max", COUNT, "1024", "connections at once"),
    setting(Http, "parts_max", COUNT, "1024", "parts of one multipart/form-data"),

    enabled(Mcp),
    setting(Mcp, "listen", Address, "\"127.0.0.1:0\"", "where to listen; port 0 lets the system choose; there is no TLS"),
    setting(Mcp, "beside_http", Switch, "false", "listen where plain HTTP does, instead"),
    secret(Mcp, "token", "the token that requests must have"),
    setting(Mcp, "token_file", Path, "", "a file with the token"),
    setting(Mcp, "token_env", Text, "", "the environment variable with the token"),
    setting(Mcp, "open", Switch, "false", "take requests without a token from everybody who reaches the port, except from pages in a browser"),
    setting(Mcp, "origins", Words, "[]", "origins whose pages may call"),
    setting(Mcp, "hosts", Words, "[\"localhost\", \"127.0.0.1\", \"::1\"]", "names by which the server may be called; none allows any"),
    setting(Mcp, "sessions_max", COUNT, "256", "sessions at once"),
    setting(Mcp, "idle_timeout_ms", SOME_MILLISECONDS, "600000", "how long a session may be unused"),
    setting(Mcp, "in_flight_max", COUNT, "64", "calls in flight at once, per session; over stdio, too"),
    setting(Mcp, "message_bytes_max", MANY, "33554432", "bytes of one message; over stdio, too"),
    setting(Mcp, "bodies_bytes_max", MANY, "268435456", "bytes of messages at once"),
    setting(Mcp, "body_timeout_ms", SOME_MILLISECONDS, "60000", "how long a message may take to arrive"),
    setting(Mcp, "head_timeout_ms", SOME_MILLISECONDS, "60000", "how long a request's head may take to arrive"),
    setting(Mcp, "write_timeout_ms", SOME_MILLISECONDS, "60000", "how long a client may take nothing of what is sent to it"),
    setting(Mcp, "connections_max", COUNT, "1024", "connections at once"),
    setting(Mcp, "timeout_max_ms", SOME_MILLISECONDS, "3600000", "the longest that a call may take; over stdio, too"),
];
