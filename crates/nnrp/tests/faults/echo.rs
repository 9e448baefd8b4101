//! A server that gives back what it gets, a client that counts what it gets, and how the numbers have to add up.

use std::future::Future;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use nnrp::client::{ConnectOptions, FrameItem, FrameStream, Session, Submit};
use nnrp::server::{ServeOptions, Server, ServerOptions, Submitted};
use nnrp_wire::body::TypedPayload;
use nnrp_wire::build::ResultWorth;
use nnrp_wire::session::{FrameKey, FrameOutcome};
use nnrp_wire::{FrameSubmit, ResultBody, ResultPush, SubmitBody};

/// Beyond any time that a working session needs, in simulated time or in real time.
const FOREVER: Duration = Duration::from_secs(600);

/// For what has to happen; a test that hangs says at what.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(FOREVER, future).await;
    done.unwrap_or_else(|_| panic!("{what} did not happen"))
}

/// Answers each frame with its own payload, until the server stops.
pub(crate) fn echo_server() -> Server {
    let mut options = ServerOptions::default();
    options.session.capabilities.max_concurrent_frames = 64;
    echo_server_with(options)
}

pub(crate) fn echo_server_with(options: ServerOptions) -> Server {
    let server = Server::new(options);
    let serving = server.clone();
    tokio::spawn(async move {
        let options = ServeOptions {
            session_frames_max: 64,
            ..ServeOptions::default()
        };
        serving.serve_sessions(echo, options).await;
    });
    server
}

pub(crate) async fn echo(frame: Submitted) {
    let result = ResultPush::builder(ResultWorth::COMPLETE)
        .payload(TypedPayload::structured_event(payload_of(&frame.message)))
        .build()
        .unwrap();
    // An error says that the frame has ended, which is what the tests are about.
    let _ = frame.answer.complete(result);
}

fn payload_of(submit: &FrameSubmit) -> Bytes {
    match &submit.body {
        SubmitBody::Composed(composed) => first_payload(composed),
        SubmitBody::Flat(_) => Bytes::new(),
    }
}

pub(crate) fn frame(frame_id: u32, payload: Bytes) -> Submit {
    let message = FrameSubmit::builder()
        .payload(TypedPayload::structured_event(payload))
        .build()
        .unwrap();
    Submit::new(FrameKey::new(frame_id), message)
}

/// Different for each frame.
pub(crate) fn payload(frame_id: u32, bytes: usize) -> Bytes {
    let pattern = frame_id.to_le_bytes();
    pattern
        .into_iter()
        .cycle()
        .take(bytes)
        .collect::<Vec<u8>>()
        .into()
}

/// How the frames of a run ended.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) completed: usize,
    pub(crate) lost: usize,
    pub(crate) other: Vec<(FrameKey, FrameOutcome)>,
    pub(crate) not_submitted: usize,
}

impl Tally {
    pub(crate) fn ended(&self) -> usize {
        self.completed + self.lost + self.other.len()
    }
}

/// Submits so many frames as fast as they are taken, and receives each until its end. Each completed frame has brought its
/// own payload, once.
pub(crate) async fn run(session: &Session, frame_ids: Range<u32>, bytes: usize) -> Tally {
    run_with(session, frame_ids, bytes, true).await
}

/// Where garbage may come, it may come inside a payload, and nothing tells: packets have no checksum.
pub(crate) async fn run_with(
    session: &Session,
    frame_ids: Range<u32>,
    bytes: usize,
    is_intact: bool,
) -> Tally {
    let mut tally = Tally::default();
    let mut streams = tokio::task::JoinSet::new();
    for frame_id in frame_ids {
        let submit = frame(frame_id, payload(frame_id, bytes));
        let submitted = soon("a submit", session.submit_stream(submit)).await;
        let Ok(stream) = submitted else {
            tally.not_submitted += 1;
            continue;
        };
        streams.spawn(receive(stream, frame_id, bytes, is_intact));
    }
    while let Some(ended) = soon("a frame's end", streams.join_next()).await {
        let (key, outcome) = ended.unwrap();
        match outcome {
            FrameOutcome::Complete => tally.completed += 1,
            FrameOutcome::ConnectionLost => tally.lost += 1,
            FrameOutcome::Stale
            | FrameOutcome::Degraded
            | FrameOutcome::Dropped
            | FrameOutcome::Cancelled
            | FrameOutcome::Expired
            | FrameOutcome::Error => tally.other.push((key, outcome)),
        }
    }
    tally
}

async fn receive(
    mut stream: FrameStream,
    frame_id: u32,
    bytes: usize,
    is_intact: bool,
) -> (FrameKey, FrameOutcome) {
    let (mut results, mut outcome) = (0, None);
    while let Some(item) = stream.next().await {
        match item {
            FrameItem::Result(result) => {
                results += 1;
                let is_own = result_payload(&result.result) == payload(frame_id, bytes);
                assert!(
                    is_own || !is_intact,
                    "another payload than frame {frame_id}'s"
                );
            }
            FrameItem::Hint(_) => {}
            FrameItem::End(end) => {
                assert!(outcome.is_none(), "{outcome:?}, then {end:?}");
                outcome = Some(end.outcome);
            }
        }
    }
    let outcome = outcome.expect("an end");
    assert_eq!(results, usize::from(outcome == FrameOutcome::Complete));
    (FrameKey::new(frame_id), outcome)
}

fn result_payload(result: &ResultPush) -> Bytes {
    match &result.body {
        ResultBody::Composed(composed) => first_payload(composed),
        ResultBody::Empty | ResultBody::Flat(_) => panic!("not what was sent"),
    }
}

/// submitted = answered + dropped + cancelled + failed, and nothing is in flight any more.
pub(crate) fn check_counts(session: &Session, tally: &Tally) {
    let frames = session.counters().frames;
    assert_eq!(frames.submitted, frames.done_total(), "{frames:?}");
    assert_eq!((frames.in_flight, frames.pending), (0, 0), "{frames:?}");
    assert_eq!(frames.submitted, tally.ended() as u64, "{tally:?}");
    assert_eq!(
        frames.done_as(FrameOutcome::Complete),
        tally.completed as u64
    );
}

pub(crate) fn connect_options() -> ConnectOptions {
    ConnectOptions::default()
}

fn first_payload(composed: &nnrp_wire::Composed) -> Bytes {
    composed.body().typed.iter().next().unwrap().payload.clone()
}
