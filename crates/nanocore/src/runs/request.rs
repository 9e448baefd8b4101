//! What is asked for: a graph, and how it is to be run. spec: nanograph 17.3

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use nodewire_json::{Json, Kind};
use nodewire_telemetry::{TraceParent, TraceState};
use serde::{Deserialize, Deserializer, Serialize};

use super::SubmitError;
use crate::workflow::{Exec, Graph, GraphNode, OnError, RunCacheMode, TypeCheck};

/// A run to be made. As JSON: the body of `POST /api/v1/runs`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunRequest {
    /// The graph, in the format of the files.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    #[schemars(with = "serde_json::Value")]
    pub graph: Json,
    /// Only these nodes and what they need; all if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<u64>,
    /// Values of parameters by `<node id>.<name>`, in place of the graph's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub params: BTreeMap<String, Json>,
    /// Constants of inputs by `<node id>.<port>`, lists, in place of the graph's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub values: BTreeMap<String, Json>,
    /// What to do with the result cache.
    #[serde(default)]
    pub cache: RequestCache,
    /// Higher goes first; from -1,000 to 1,000.
    #[serde(default)]
    pub priority: i32,
    /// Who submits it; told again in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// What the failure of a node means for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_error: Option<RequestOnError>,
    /// Limit of one attempt of a node, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
    /// Further attempts after an error of a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// How strictly the types of links are checked.
    #[serde(default)]
    pub types: RequestTypes,
    /// Labels; told again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Whether its finished steps outlive the process, and it goes on after that was killed.
    #[serde(default)]
    pub durable: bool,
    /// Whether it is accepted although no server offers some of its nodes yet, and waits for that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wait_servers: bool,
    /// W3C `traceparent`: the trace that the run is part of. The header of the same name goes where this is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// W3C `tracestate`, passed on beside it, at most 512 bytes. The header of the same name goes with the other header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
}

/// What a run does with the result cache.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum RequestCache {
    /// Results are used again and kept, as each node says.
    #[default]
    Auto,
    /// Nodes are executed and their results kept.
    Refresh,
    /// Nothing is used again and nothing kept.
    Off,
}

/// What the failure of a node means for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RequestOnError {
    /// Nothing new is dispatched; what runs may finish.
    Stop,
    /// As `Stop`, and what runs is stopped.
    Abort,
    /// Only what depends on the node is skipped.
    Continue,
}

/// How strictly the types of links are checked.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum RequestTypes {
    /// What does not fit prevents the run.
    #[default]
    Strict,
    /// What does not fit is a warning.
    Warn,
    /// Types are not looked at.
    Off,
}

/// What a rerun changes of the request that it repeats; `None` leaves it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Overrides {
    /// Added to those of the run.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    #[serde(deserialize_with = "values_by_path")]
    pub params: BTreeMap<String, Json>,
    /// Added to those of the run.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    #[serde(deserialize_with = "values_by_path")]
    pub values: BTreeMap<String, Json>,
    /// In place of those of the run.
    pub targets: Option<Vec<u64>>,
    /// In place of that of the run.
    pub cache: Option<RequestCache>,
    /// In place of that of the run.
    pub priority: Option<i32>,
    /// In place of that of the run.
    pub client_id: Option<String>,
    /// In place of that of the run.
    pub on_error: Option<RequestOnError>,
    /// In place of that of the run, in seconds.
    pub timeout: Option<f64>,
    /// In place of those of the run.
    pub retries: Option<u32>,
    /// In place of those of the run.
    pub tags: Option<Vec<String>>,
    /// In place of that of the run.
    pub durable: Option<bool>,
    /// W3C `traceparent`: the trace that the rerun is part of, which is not that of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// W3C `tracestate`, passed on beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
}

/// Within a flattened part, where values have no text of their own any more.
fn values_by_path<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Json>, D::Error> {
    let values = BTreeMap::<String, serde_json::Value>::deserialize(deserializer)?;
    Ok(values
        .into_iter()
        .map(|(path, value)| (path, Json::from(value)))
        .collect())
}

const PRIORITIES: std::ops::RangeInclusive<i32> = -1_000..=1_000;
const TAGS_MAX: usize = 32;
const LABEL_BYTES_MAX: usize = 200;
const RETRIES_MAX: u32 = 1_000;
const TIMEOUT_S_MAX: f64 = 30.0 * 24.0 * 3_600.0;

impl RunRequest {
    /// A run of this graph, with nothing special.
    #[must_use]
    pub fn new(graph: Json) -> Self {
        Self {
            graph,
            ..Self::default()
        }
    }

    /// The graph as it will be run: with the request's parameters and constants.
    pub(super) fn graph(&self) -> Result<Graph, SubmitError> {
        let parsed = Graph::from_json(&self.graph);
        let mut graph = parsed.map_err(|invalid| SubmitError::Invalid {
            problems: invalid.problems,
        })?;
        let mut wrong = Vec::new();
        for (path, value) in &self.params {
            match placed(&mut graph, path, "params") {
                Ok((node, name)) => node.set_param(name, value.clone()),
                Err(message) => wrong.push(message),
            }
        }
        for (path, list) in &self.values {
            match placed(&mut graph, path, "values") {
                Ok(_) if list.kind() != Kind::Array => {
                    wrong.push(format!("values: \"{path}\" must be a list"));
                }
                Ok((node, port)) => node.set_value(port, list.clone()),
                Err(message) => wrong.push(message),
            }
        }
        all_of(wrong)?;
        Ok(graph)
    }

    /// Checks everything but the graph.
    pub(super) fn check(&self, bytes_max: usize) -> Result<(), SubmitError> {
        let bytes = self.bytes();
        if bytes > bytes_max {
            return Err(SubmitError::TooLarge { bytes, bytes_max });
        }
        let mut wrong = Vec::new();
        let mut check = |is_right: bool, message: String| {
            if !is_right {
                wrong.push(message);
            }
        };
        let is_time = |timeout: f64| timeout > 0.0 && timeout <= TIMEOUT_S_MAX;
        let mut labels = self.tags.iter().chain(&self.client_id);
        check(
            !self.graph.is_null(),
            "graph: is missing; give the graph as its file has it, {\"nodes\": [...], \"links\": [...]}"
                .to_owned(),
        );
        check(
            PRIORITIES.contains(&self.priority),
            "priority: must be from -1000 to 1000".to_owned(),
        );
        check(
            self.retries.is_none_or(|retries| retries <= RETRIES_MAX),
            format!("retries: at most {RETRIES_MAX}"),
        );
        check(
            self.timeout.is_none_or(is_time),
            "timeout: must be seconds, above 0 and at most 30 days".to_owned(),
        );
        check(
            self.tags.len() <= TAGS_MAX,
            format!("tags: at most {TAGS_MAX}"),
        );
        check(
            labels.all(|label| label.len() <= LABEL_BYTES_MAX),
            format!("tags and clientId: at most {LABEL_BYTES_MAX} bytes each"),
        );
        check(
            self.traceparent.is_none() || self.trace_parent().is_some(),
            "traceparent: must be \"00-<trace id>-<span id>-<flags>\", as W3C trace context says"
                .to_owned(),
        );
        check(
            self.tracestate.is_none() || self.trace_state().is_some(),
            "tracestate: must be at most 512 bytes of printable ASCII".to_owned(),
        );
        all_of(wrong)
    }

    /// Without the graph: what is kept beside it, and told as `options`.
    pub(super) fn options_json(&self) -> Json {
        let request = Self {
            graph: Json::default(),
            ..self.clone()
        };
        // It has nothing that JSON has not.
        Json::from_serialize(&request).unwrap_or_default()
    }

    pub(super) fn trace_parent(&self) -> Option<TraceParent> {
        TraceParent::parse(self.traceparent.as_deref()?)
    }

    pub(super) fn trace_state(&self) -> Option<TraceState> {
        TraceState::parse(self.tracestate.as_deref()?)
    }

    pub(super) fn exec(&self) -> Exec {
        Exec {
            retries: self.retries,
            timeout: self
                .timeout
                .and_then(|timeout| Duration::try_from_secs_f64(timeout).ok()),
            on_error: self.on_error.map(OnError::from),
            ..Exec::default()
        }
    }

    /// The request of a rerun, and the nodes that it changes.
    pub(super) fn overridden(mut self, overrides: Overrides) -> (Self, HashSet<u64>) {
        let paths = overrides.params.keys().chain(overrides.values.keys());
        let changed = paths.filter_map(|path| Some(split(path)?.0)).collect();
        self.params.extend(overrides.params);
        self.values.extend(overrides.values);
        self.targets = overrides.targets.unwrap_or(self.targets);
        self.cache = overrides.cache.unwrap_or(self.cache);
        self.priority = overrides.priority.unwrap_or(self.priority);
        self.client_id = overrides.client_id.or(self.client_id);
        self.on_error = overrides.on_error.or(self.on_error);
        self.timeout = overrides.timeout.or(self.timeout);
        self.retries = overrides.retries.or(self.retries);
        self.tags = overrides.tags.unwrap_or(self.tags);
        self.durable = overrides.durable.unwrap_or(self.durable);
        self.traceparent = overrides.traceparent;
        self.tracestate = overrides.tracestate;
        (self, changed)
    }

    fn bytes(&self) -> usize {
        let values = self.params.iter().chain(&self.values);
        let values: usize = values
            .map(|(key, value)| key.len() + value.as_str().len())
            .sum();
        self.graph.as_str().len() + values + self.targets.len() * size_of::<u64>()
    }
}

fn placed<'g, 'p>(
    graph: &'g mut Graph,
    path: &'p str,
    key: &str,
) -> Result<(&'g mut GraphNode, &'p str), String> {
    let Some((id, name)) = split(path) else {
        return Err(format!("{key}: \"{path}\" is not \"<node id>.<name>\""));
    };
    let found = graph.nodes.iter_mut().find(|node| node.id == id);
    let node = found.ok_or_else(|| format!("{key}: \"{path}\": there is no node {id}"))?;
    Ok((node, name))
}

/// How much of what is wrong is told at once.
const WRONG_MAX: usize = 64;

/// A refusal with all that is wrong, if anything is.
fn all_of(mut wrong: Vec<String>) -> Result<(), SubmitError> {
    let more = wrong.len().saturating_sub(WRONG_MAX);
    wrong.truncate(WRONG_MAX);
    if more > 0 {
        wrong.push(format!("and {more} more"));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(bad(wrong.join("; ")))
}

fn split(path: &str) -> Option<(u64, &str)> {
    let (id, name) = path.split_once('.')?;
    Some((id.parse().ok()?, name)).filter(|(_, name)| !name.is_empty())
}

pub(super) fn bad(message: impl Into<String>) -> SubmitError {
    SubmitError::BadRequest {
        message: message.into(),
    }
}

impl From<RequestCache> for RunCacheMode {
    fn from(cache: RequestCache) -> Self {
        match cache {
            RequestCache::Auto => Self::Auto,
            RequestCache::Refresh => Self::Refresh,
            RequestCache::Off => Self::Off,
        }
    }
}

impl From<RequestOnError> for OnError {
    fn from(on_error: RequestOnError) -> Self {
        match on_error {
            RequestOnError::Stop => Self::Stop,
            RequestOnError::Abort => Self::Abort,
            RequestOnError::Continue => Self::Continue,
        }
    }
}

impl From<RequestTypes> for TypeCheck {
    fn from(types: RequestTypes) -> Self {
        match types {
            RequestTypes::Strict => Self::Strict,
            RequestTypes::Warn => Self::Warn,
            RequestTypes::Off => Self::Off,
        }
    }
}
