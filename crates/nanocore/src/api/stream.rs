//! `GET /api/v1/runs/{id}/events`: events of one run as server-sent events. spec: nanograph 19.3, 19.4

use std::convert::Infallible;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use serde_json::json;

use super::Api;
use super::streams::{Notice, Watch, event_id, hello};
use crate::events::Item;
use crate::runs::RunSummary;

/// What a run ends with. spec: nanograph 19.4
const LAST_OF_RUN: &str = "run_finished";

/// Answers with the events of `watch`, to the end of `run`, which is always told last.
pub(super) fn answer(api: Api, watch: Watch, run: RunSummary) -> Response {
    let hello = Event::default().data(hello(&api));
    let last = run.status.is_finished().then(|| last_of(&run));
    let place = Some(Told { api, watch, last });
    let events = stream::unfold(place, async |place| {
        let mut told = place?;
        let (event, is_last) = told.next().await?;
        Some((event, (!is_last).then_some(told)))
    });
    let all = stream::once(std::future::ready(hello)).chain(events);
    Sse::new(all.map(Ok::<_, Infallible>))
        .keep_alive(KeepAlive::default())
        .into_response()
}

/// A run of which events are told.
struct Told {
    api: Api,
    watch: Watch,
    /// What is told at the end of a run that had ended before, if its own event is not there: it is no longer kept, was
    /// seen by the client, or comes right now.
    last: Option<String>,
}

impl Told {
    /// The next event, and whether it is the last.
    async fn next(&mut self) -> Option<(Event, bool)> {
        let item = match self.last.take() {
            Some(last) => match self.watch.subscription.try_next() {
                Some(item) => {
                    self.last = Some(last);
                    item
                }
                None => return Some((Event::default().data(last), true)),
            },
            None => self.await_next().await?,
        };
        Some(self.show(item))
    }

    /// `None` if the daemon ends; what happened before is told first.
    async fn await_next(&mut self) -> Option<Item> {
        tokio::select! {
            biased;
            item = self.watch.subscription.next() => Some(item),
            () = self.api.stop.cancelled() => None,
        }
    }

    fn show(&self, item: Item) -> (Event, bool) {
        let seq = self.watch.subscription.seq();
        let event = |seq| Event::default().id(event_id(&self.api, seq));
        match item {
            Item::Event(item) => {
                let is_last = item.type_name == LAST_OF_RUN;
                (event(item.seq).data(item.text()), is_last)
            }
            Item::Reset => (event(seq).data(Notice::Reset { seq }.text()), false),
            Item::TooSlow { missed } => {
                let notice = Notice::TooSlow { missed, seq }.text();
                (event(seq).data(notice), true)
            }
        }
    }
}

/// The end of a run as its record has it; without a number, since it is no event of now.
fn last_of(run: &RunSummary) -> String {
    let mut last = json!({
        "type": LAST_OF_RUN,
        "runId": run.run_id,
        "ts": run.finished_at,
        "status": run.status,
        "durationMs": run.duration_ms.unwrap_or_default(),
        "counts": run.counts.as_ref().map_or_else(|| json!({}), |counts| json!(counts)),
        "reason": run.reason,
    });
    if let Some(why) = &run.not_kept {
        last["notKept"] = why.as_str().into();
    }
    last.to_string()
}

/// A log as server-sent events, or anything else that has an end of its own; it ends with the daemon too.
pub(super) fn answer_texts(
    api: Api,
    texts: impl Stream<Item = String> + Send + 'static,
) -> Response {
    let events = stream::unfold((api, Box::pin(texts)), async |(api, mut texts)| {
        let text = tokio::select! {
            text = texts.next() => text?,
            () = api.stop.cancelled() => return None,
        };
        Some((
            Ok::<_, Infallible>(Event::default().data(text)),
            (api, texts),
        ))
    });
    Sse::new(events)
        .keep_alive(KeepAlive::default())
        .into_response()
}
