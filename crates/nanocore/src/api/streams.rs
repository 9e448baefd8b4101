//! What every stream of events begins with, and how many there may be. spec: nanograph 19.4

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;

use super::Api;
use crate::events::{Runs, Subscribe, Subscription};
use crate::refusal::ApiError;

/// Where a stream goes on.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Resume {
    /// The number of the last event that is known already. Without it, a stream of all events begins now, and one of a
    /// run with the oldest event that is kept.
    pub(super) since: Option<u64>,
    /// The epoch that the number is of; if it is over, the stream begins with `reset`.
    pub(super) epoch: Option<String>,
    /// A name for the client, for the log.
    pub(super) client_id: Option<String>,
    /// The token, for clients that cannot send headers.
    #[serde(rename = "token")]
    _token: Option<String>,
}

/// A stream's place in the events, and among the streams.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) subscription: Subscription,
    _place: OwnedSemaphorePermit,
}

impl Watch {
    /// Watches all events.
    pub(super) fn all(api: &Api, resume: &Resume) -> Result<Self, ApiError> {
        let subscribe = Subscribe {
            since: resume.since(api),
            ..Subscribe::default()
        };
        Ok(Self {
            _place: api.stream_place()?,
            subscription: api.events.subscribe(subscribe),
        })
    }

    /// Watches the events of one run.
    pub(super) fn run(api: &Api, resume: &Resume, run_id: &str) -> Result<Self, ApiError> {
        let place = api.stream_place()?;
        let subscription = match resume.since(api) {
            // No event has the number 0, so that all of the run is asked for.
            None | Some(0) => api.events.subscribe_run(run_id),
            since => api.events.subscribe(Subscribe {
                since,
                runs: Runs::Only([run_id.to_owned()].into()),
                servers: false,
            }),
        };
        Ok(Self {
            subscription,
            _place: place,
        })
    }
}

impl Resume {
    /// Goes on after the event with this `id`, unless the address says where. An id that is none of ours counts as one
    /// of another process.
    pub(super) fn after_event(&mut self, id: &str) {
        if self.since.is_some() {
            return;
        }
        let parts = id.rsplit_once('.');
        let parsed = parts.and_then(|(epoch, seq)| Some((epoch, seq.parse().ok()?)));
        let (epoch, seq) = parsed.unwrap_or_default();
        self.since = Some(seq);
        self.epoch = Some(epoch.to_owned());
    }

    fn since(&self, api: &Api) -> Option<u64> {
        tracing::debug!(
            client = self.client_id.as_deref(),
            since = self.since,
            "a stream of events begins"
        );
        let epoch = self.epoch.as_deref();
        if epoch.is_some_and(|epoch| epoch != api.events.epoch()) {
            // No event has this number, so that the stream begins with a reset.
            return Some(u64::MAX);
        }
        self.since
    }
}

/// The messages of a stream that are no events of the daemon, and have no number.
#[derive(Debug, Serialize)]
#[serde(
    tag = "type",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
pub(super) enum Notice<'a> {
    /// The first message.
    Hello {
        epoch: &'a str,
        seq: u64,
        ts: String,
    },
    /// What followed `since` is not kept: state must be read anew.
    Reset { seq: u64 },
    /// The client was too slow; it may come back with `since`.
    TooSlow { missed: u64, seq: u64 },
    /// A message of the client was not understood or could not be followed.
    Error { code: &'a str, message: String },
}

impl Notice<'_> {
    pub(super) fn text(&self) -> String {
        // Numbers and strings only: it cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The `id` of an event: of its process too, since numbers begin anew with the next.
pub(super) fn event_id(api: &Api, seq: u64) -> String {
    format!("{}.{seq}", api.events.epoch())
}

pub(super) fn hello(api: &Api) -> String {
    Notice::Hello {
        epoch: api.events.epoch(),
        seq: api.events.seq(),
        ts: format!("{:.3}", Timestamp::now()),
    }
    .text()
}
