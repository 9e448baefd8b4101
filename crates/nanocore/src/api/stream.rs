//! `GET /api/v1/runs/{id}/events`: events of one run as server-sent events. spec: nanograph 19.3, 19.4

use std::convert::Infallible;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};

use super::Api;
use super::streams::{Notice, Watch, hello};
use crate::events::Item;

/// What a run ends with. spec: nanograph 19.4
const LAST_OF_RUN: &str = "run_finished";

/// Answers with the events of `watch`, to the end of the run.
///
/// `is_over` says that the run had ended before: what is kept of it is told, and nothing awaited.
pub(super) fn answer(api: Api, watch: Watch, is_over: bool) -> Response {
    let hello = Event::default().data(hello(&api));
    let place = Some((api, watch));
    let events = stream::unfold(place, move |place| async move {
        let (api, mut watch) = place?;
        let item = next(&api, &mut watch, is_over).await?;
        let (event, is_last) = show(item, watch.subscription.seq());
        Some((event, (!is_last).then_some((api, watch))))
    });
    let all = stream::once(std::future::ready(hello)).chain(events);
    Sse::new(all.map(Ok::<_, Infallible>))
        .keep_alive(KeepAlive::default())
        .into_response()
}

async fn next(api: &Api, watch: &mut Watch, is_over: bool) -> Option<Item> {
    if is_over {
        return watch.subscription.try_next();
    }
    tokio::select! {
        item = watch.subscription.next() => Some(item),
        () = api.stop.cancelled() => None,
    }
}

/// The event, and whether it is the last.
fn show(item: Item, seq: u64) -> (Event, bool) {
    match item {
        Item::Event(event) => {
            let shown = Event::default()
                .id(event.seq.to_string())
                .data(event.text());
            (shown, event.type_name == LAST_OF_RUN)
        }
        Item::Reset => (Event::default().data(Notice::Reset { seq }.text()), false),
        Item::TooSlow { missed } => {
            let notice = Notice::TooSlow { missed, seq }.text();
            (Event::default().data(notice), true)
        }
    }
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
