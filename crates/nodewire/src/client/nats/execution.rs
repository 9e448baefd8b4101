//! An execution by NATS.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use nats_micro::Reply;
use nats_micro::client::{
    Client, ControlError, End, Limits, OutgoingRequest, ReplyStream, RequestError,
};
use nodewire_json::Json;
use uuid::Uuid;

use super::super::call::Call;
use super::super::error::RemoteErrorKind;
use super::super::execution::RemoteEvent;
use super::super::plain;
use super::super::wire::Told;
use super::Place;

/// Without a timeout of the caller's.
const LONG: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Between two requests to cancel.
const CANCEL_INTERVAL: Duration = Duration::from_millis(200);

/// An execution that says nothing is looked after so often.
const WATCH_INTERVAL: Duration = Duration::from_secs(4);

/// For the answer of an instance then.
const WATCH_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes of a request's headers.
pub(super) const HEADERS_BYTES: usize = "NATS/1.0\r\n\r\n".len()
    + "Nodewire-Execution: 00000000000000000000000000000000\r\n".len()
    + "Nodewire-Stream: 1\r\n".len();

/// An execution on its way.
pub(super) struct Execution<'a> {
    client: &'a Client,
    service: &'a str,
    cancel: CancelSubject,
    told: &'a Told,
}

impl<'a> Execution<'a> {
    /// Of the node at this place.
    pub(super) fn new(client: &'a Client, place: &'a Place, told: &'a Told) -> Self {
        Self {
            client,
            service: &place.service,
            cancel: cancel_subject(&place.subject),
            told,
        }
    }

    pub(super) async fn run(
        &self,
        subject: &str,
        call: &Call,
    ) -> Result<RemoteEvent, RequestError> {
        let body = plain::request(call, &call.inputs).into_bytes();
        let wait = call.timeout.map_or(LONG, |time| time.saturating_add(LONG));
        let request = OutgoingRequest::new(body)
            .with_header("Nodewire-Execution", &self.cancel.id)
            .with_timeout(wait);
        if call.wants_events {
            let request = request.with_header("Nodewire-Stream", "1");
            let replies = self.client.request_many(subject, request);
            let limits = Limits {
                max_wait: wait,
                max_interval: None,
                max_count: usize::MAX,
                max_bytes: usize::MAX,
            };
            return self.follow(replies.limits(limits).stream().await?).await;
        }
        let asked = self.client.request(subject, request);
        tokio::pin!(asked);
        let mut gone = pin!(self.gone(None));
        loop {
            tokio::select! {
                // First, so that it is sent before it is cancelled.
                biased;
                reply = &mut asked => return Ok(match read(&reply?) {
                    Ok(answer) => plain::completed(&answer),
                    Err(end) => end,
                }),
                () = &mut gone => return Ok(lost()),
                () = self.stop() => {}
            }
        }
    }

    async fn follow(&self, mut replies: ReplyStream) -> Result<RemoteEvent, RequestError> {
        let mut instance = None;
        loop {
            let reply = {
                let mut gone = pin!(self.gone(instance.as_deref()));
                loop {
                    tokio::select! {
                        biased;
                        reply = replies.next() => break reply,
                        () = &mut gone => return Ok(lost()),
                        () = self.stop() => {}
                    }
                }
            };
            let reply = match reply {
                Some(Ok(reply)) => reply,
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(broken_off(replies.end())),
            };
            if reply.header("Nodewire-Event") == Some("accepted") {
                // `<group>.$cancel.<instance>.<id>`
                let subject = reply.header("Nodewire-Cancel");
                instance = subject.and_then(|it| it.rsplit('.').nth(1).map(str::to_owned));
                continue;
            }
            let event = match read(&reply) {
                Ok(event) => event,
                Err(end) => return Ok(end),
            };
            if let Some(end) = plain::take(&event, self.told).await {
                return Ok(end);
            }
        }
    }

    /// Once this instance of the service is not there any more, or none if it is not known which one has the execution.
    /// Nobody tells that to who waits for an answer.
    async fn gone(&self, instance: Option<&str>) {
        let mut misses = 0;
        // One may be away for a moment, as the broker may.
        while misses < 2 {
            tokio::time::sleep(WATCH_INTERVAL).await;
            let is_gone = match instance {
                Some(instance) => self.is_gone(instance).await,
                None => self.are_all_gone().await,
            };
            misses = if is_gone { misses + 1 } else { 0 };
        }
    }

    async fn is_gone(&self, instance: &str) -> bool {
        let instance = self.client.instance(self.service, instance);
        let asked = instance.with_timeout(WATCH_TIMEOUT).ping().await;
        matches!(
            asked,
            Err(ControlError::Request(RequestError::NoResponders { .. }))
        )
    }

    async fn are_all_gone(&self) -> bool {
        let limits = Limits {
            max_wait: WATCH_TIMEOUT,
            max_count: 1,
            ..Limits::default()
        };
        let asked = self.client.service(self.service).ping().limits(limits);
        let found = asked.list().await;
        found.is_ok_and(|found| found.end == End::NoResponders)
    }

    /// Once it is wanted: asks for it, and waits before that is done again, as a request may be overtaken.
    async fn stop(&self) {
        self.told.cancel.cancelled().await;
        // Without an answer it has ended, or the end says how it went.
        let _ = self.client.request(&self.cancel.subject, "").await;
        tokio::time::sleep(CANCEL_INTERVAL).await;
    }
}

/// Where an execution is cancelled, and its name there.
struct CancelSubject {
    subject: String,
    id: String,
}

fn cancel_subject(subject: &str) -> CancelSubject {
    let id = Uuid::new_v4().simple().to_string();
    let group = subject.rsplit_once('.').map_or("", |(group, _)| group);
    CancelSubject {
        subject: format!("{group}.$cancel.{id}"),
        id,
    }
}

fn read(reply: &Reply) -> Result<Json, RemoteEvent> {
    Json::parse_bytes(reply.payload.clone()).map_err(|_| plain::unreadable("it is no JSON"))
}

fn lost() -> RemoteEvent {
    let text = "its instance of the service is not there any more; it may have been executed";
    RemoteEvent::failed(RemoteErrorKind::Lost, text)
}

fn broken_off(end: Option<End>) -> RemoteEvent {
    match end {
        Some(End::NoResponders) => {
            let text = "no service answers: has it been stopped?";
            RemoteEvent::failed(RemoteErrorKind::Unreachable, text)
        }
        Some(End::MaxWait | End::MaxInterval) => {
            RemoteEvent::failed(RemoteErrorKind::Deadline, "there was no end in time")
        }
        Some(End::Closed | End::MaxCount | End::MaxBytes | End::Sentinel | _) | None => {
            RemoteEvent::failed(
                RemoteErrorKind::Lost,
                "the connection to the broker was lost",
            )
        }
    }
}
