//! An execution's events as property changes, and its end as the result that is owed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use autotrainer_api::{CommandResponse, EventPublisher, Pending, PropertyChange};
use nodewire_core::{
    Assets, BoxFuture, EventSink, ExecutionEvent, ExecutionId, NodeError, Outputs,
};
use nodewire_json::Json;
use tokio::sync::oneshot;

use super::answers;
use super::executions::{Executions, Place};
use crate::capability::{Feature, Losses, Wire};
use crate::nanograph::Transfers;
use crate::{oversize, plain};

/// Bytes of a message around its data and its text: the other fields, and a sequence number.
const ENVELOPE_BYTES: usize = 512;

/// Bytes of the data around the outputs.
const OUTPUTS_BYTES: usize = r#"{"outputs": }"#.len();

/// What all executions of the wire share.
#[derive(Debug, Clone)]
pub(super) struct Outlet {
    pub(super) publisher: EventPublisher,
    pub(super) executions: Arc<Executions>,
    pub(super) assets: Assets,
    pub(super) transfers: Transfers,
    pub(super) losses: Losses,
    pub(super) message_bytes_max: usize,
}

/// Where the events of one execution go.
pub(super) struct ResultSink {
    outlet: Outlet,
    nonce: Json,
    /// The node's number; 0 if it has none.
    target: i64,
    owed: Mutex<Option<Owed>>,
    lost_progress: AtomicBool,
    lost_partial: AtomicBool,
    this: Weak<Self>,
}

/// What is to be told at the end.
struct Owed {
    answer: Answer,
    /// Given back just before the result goes out, so that its reader may use the nonce anew.
    _place: Place,
}

/// How the result gets to the client.
pub(super) enum Answer {
    /// As the answer of the command.
    Now(oneshot::Sender<CommandResponse>),
    /// Behind a `PENDING_WITH_NOTIFICATION`.
    Later(Pending),
}

impl ResultSink {
    pub(super) fn new(
        outlet: Outlet,
        nonce: Json,
        target: Option<i64>,
        answer: Answer,
        place: Place,
    ) -> Arc<Self> {
        let owed = Owed {
            answer,
            _place: place,
        };
        Arc::new_cyclic(|this| Self {
            outlet,
            nonce,
            target: target.unwrap_or(0),
            owed: Mutex::new(Some(owed)),
            lost_progress: AtomicBool::new(false),
            lost_partial: AtomicBool::new(false),
            this: Weak::clone(this),
        })
    }

    /// The result will not be waited for: it is told later. Gives `pending` back if it has been told already.
    pub(super) fn make_later(&self, pending: Pending) -> Result<(), Pending> {
        let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        match owed.as_mut() {
            Some(owed) => {
                owed.answer = Answer::Later(pending);
                Ok(())
            }
            None => Err(pending),
        }
    }

    fn settle(&self, response: CommandResponse) {
        let owed = self
            .owed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(Owed { answer, _place }) = owed else {
            return;
        };
        drop(_place);
        let was_told = match answer {
            Answer::Now(answer) => answer.send(response).is_ok(),
            Answer::Later(pending) => pending.complete(response).is_ok(),
        };
        if !was_told {
            self.outlet.executions.counters.results_unowed.count();
        }
    }

    fn complete(&self, outputs: &Outputs) {
        let response = answers::completed(outputs);
        let bytes = response.data.as_str().len();
        if bytes + ENVELOPE_BYTES <= self.outlet.message_bytes_max {
            self.settle(response);
        } else if self.outlet.assets.is_available() {
            self.keep(outputs.clone());
        } else {
            self.too_long(bytes);
        }
    }

    fn too_long(&self, bytes: usize) {
        self.outlet.executions.counters.results_too_long.count();
        self.settle(answers::too_long(bytes, self.outlet.message_bytes_max));
    }

    /// Keeps outputs, or the longest bytes among them, as assets, and tells references instead.
    fn keep(&self, outputs: Outputs) {
        // The caller has it, so it can be had.
        let Some(this) = self.this.upgrade() else {
            return;
        };
        self.outlet.transfers.run(async move {
            let outlet = &this.outlet;
            let bytes_max = outlet.message_bytes_max - ENVELOPE_BYTES;
            match oversize::keep(outputs, bytes_max - OUTPUTS_BYTES, &outlet.assets).await {
                Ok(kept) => {
                    outlet.executions.counters.results_kept_as_assets.count();
                    let data = Json::object([("outputs", kept.json())]);
                    this.settle(CommandResponse::success().with_verbatim_data(data));
                }
                Err(error) => this.not_kept(&error),
            }
        });
    }

    fn not_kept(&self, error: &NodeError) {
        tracing::warn!(%error, "outputs that are longer than a message cannot be stored");
        self.outlet.executions.counters.results_too_long.count();
        self.settle(answers::failed(error));
    }

    /// One that cannot be sent is lost, and counted once per execution.
    fn change(&self, name: &str, event: &ExecutionEvent) {
        let Some(event) = plain::event(event).and_then(|event| event.entries()) else {
            return;
        };
        let nonce = std::iter::once(("nonce", self.nonce.clone()));
        let event = event
            .iter()
            .map(|(key, value)| (key.as_str(), value.clone()));
        let change = PropertyChange {
            target: self.target,
            name: name.to_owned(),
            new_value: Json::object(nonce.chain(event)),
            old_value: Json::null(),
        };
        if let Err(error) = self.outlet.publisher.try_send_property_change(&change) {
            tracing::debug!(%error, name, "a property change is lost");
            self.lose(name);
        }
    }

    fn lose(&self, name: &str) {
        let (lost, feature) = if name == PARTIAL {
            (&self.lost_partial, Feature::PartialOutputs)
        } else {
            (&self.lost_progress, Feature::Progress)
        };
        if !lost.swap(true, Ordering::Relaxed) {
            self.outlet.losses.count(Wire::Autotrainer, feature);
        }
    }
}

const PROGRESS: &str = "progress";
const PARTIAL: &str = "partial";

impl EventSink for ResultSink {
    fn deliver(&self, _id: ExecutionId, event: ExecutionEvent) {
        match &event {
            ExecutionEvent::Accepted | ExecutionEvent::Started => {}
            ExecutionEvent::Progress(_) => self.change(PROGRESS, &event),
            ExecutionEvent::Partial(_) => self.change(PARTIAL, &event),
            ExecutionEvent::Completed(outputs) => self.complete(outputs),
            ExecutionEvent::Failed(_)
            | ExecutionEvent::Cancelled { .. }
            | ExecutionEvent::Dropped(_) => {
                if let ExecutionEvent::Failed(error) = &event {
                    tracing::debug!(error = ?error, "execution failed");
                }
                if let Some(response) = answers::ended(&event) {
                    self.settle(response);
                }
            }
        }
    }

    fn has_room(&self) -> bool {
        self.outlet.publisher.has_room()
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.outlet.publisher.room())
    }
}
