//! One exchange with fixed content: hello, submit, result. spec: nnrp-session 8

use std::time::Duration;

use bytes::Bytes;
use nnrp_wire::body::TensorSection;
use nnrp_wire::build::{
    ResultOptions, ResultWorth, SubmitOptions, TensorInput, TensorOutput, Tiles,
};
use nnrp_wire::metadata::ServerHelloAckMetadata;
use nnrp_wire::session::{
    AcceptRefusal, ClientEvent, ClientOptions, ClientSession, ConnectionEvent, Failure, FrameError,
    FrameKey, FrameOutcome, HandleError, HelloOffer, ResultRefusal, ServerConnection, ServerEvent,
    ServerOptions, ServerSession, Submit, SubmitRefusal,
};
use nnrp_wire::{
    DType, FrameSubmit, InputProfile, PayloadKinds, ResultPush, ServerHelloAck, TransportId,
    WireError,
};
use thiserror::Error;
use tokio::time::timeout;

use super::single::{PATH, Single, exchange};
use crate::driver::Clock;
use crate::link::Link;

/// How long a server waits for its client to end, as the reference loses what it has not looked at by then.
const GRACE: Duration = Duration::from_secs(1);

/// The reference numbers the streams of TCP by itself.
const TCP_STREAM: u64 = 2;

/// The client's first bidirectional stream, and the first that a client and a server open for a packet of its own.
const CONTROL_STREAM: u64 = 0;
const FIRST_SUBMIT_STREAM: u64 = 2;
const FIRST_RESULT_STREAM: u64 = 3;

/// What a smoke client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmokeClientOptions {
    /// The session id that is asked for; 1.
    pub requested_session_id: u32,
    /// The frame; 101.
    pub frame_id: u32,
}

impl Default for SmokeClientOptions {
    fn default() -> Self {
        Self {
            requested_session_id: 1,
            frame_id: 101,
        }
    }
}

/// What the hello came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmokeHello {
    /// What the client asked for.
    pub requested_session_id: u32,
    /// What it got.
    pub negotiated_session_id: u32,
    /// Where control packets go.
    pub control_stream_id: u64,
}

/// What was exchanged. On QUIC the streams' numbers are those of the connection; on TCP those that the reference makes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmokeTranscript {
    /// The hello.
    pub hello: SmokeHello,
    /// The frame.
    pub frame_id: u32,
    /// Where the submit went.
    pub submit_stream_id: u64,
    /// Where the result came.
    pub result_stream_id: u64,
    /// Tiles of the submit.
    pub submit_tile_count: u16,
    /// Tiles of the result.
    pub result_tile_count: u16,
}

/// Why there was no exchange.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SmokeError {
    /// The session broke, or never began.
    #[error("{0}")]
    Failed(#[source] Box<Failure>),
    /// The other side ended it too early.
    #[error("the other side ended the session before the exchange was done")]
    Ended,
    /// The frame has no result.
    #[error("the frame ended as {outcome:?}{}", error.as_ref().map_or_else(String::new, |error| format!(": {error}")))]
    NoResult {
        /// How it ended.
        outcome: FrameOutcome,
        /// Why.
        error: Option<FrameError>,
    },
    /// The submit was not taken.
    #[error("{0}")]
    Submit(#[source] SubmitRefusal),
    /// The result was not taken.
    #[error("{0}")]
    Result(#[source] ResultRefusal),
    /// The client cannot have a session.
    #[error("{0}")]
    Accept(#[source] AcceptRefusal),
    /// A hello cannot be sent.
    #[error("{0}")]
    Hello(#[source] HandleError),
    /// A message cannot be put together.
    #[error("{0}")]
    Build(#[source] WireError),
}

/// Begins a session, submits the frame, waits for its result, and closes the session. It has no time limit but those of the
/// session's own steps. If it is dropped, the link is closed as it is.
///
/// # Errors
/// If there is no result.
pub async fn smoke_client(
    link: Link,
    options: SmokeClientOptions,
) -> Result<SmokeTranscript, SmokeError> {
    let clock = Clock::start();
    let mut session = ClientOptions::default();
    session.hello.metadata.requested_session_id = options.requested_session_id;
    let mut machine = ClientSession::new(session);
    let connected = machine.connected(PATH, link.transport(), clock.now());
    connected.map_err(SmokeError::Hello)?;
    let mut single = Single {
        machine,
        link,
        clock,
        early: Vec::new(),
    };
    let done = exchange_as_client(&mut single, options).await;
    // It may be over already.
    let _ = single.machine.close(Bytes::new(), clock.now());
    while done.is_ok() && single.next_event().await.is_some() {}
    single.finish().await;
    done
}

async fn exchange_as_client(
    single: &mut Single<ClientSession>,
    options: SmokeClientOptions,
) -> Result<SmokeTranscript, SmokeError> {
    let submit = submit().map_err(SmokeError::Build)?;
    let mut transcript = SmokeTranscript {
        hello: SmokeHello {
            requested_session_id: options.requested_session_id,
            negotiated_session_id: 0,
            control_stream_id: CONTROL_STREAM,
        },
        frame_id: options.frame_id,
        submit_stream_id: FIRST_SUBMIT_STREAM,
        result_stream_id: FIRST_RESULT_STREAM,
        submit_tile_count: submit.metadata.tile_count,
        result_tile_count: 0,
    };
    let mut submit = Some(submit);
    let mut has_result = false;
    while let Some(event) = single.next_event().await {
        if let ClientEvent::Active(established) = event {
            transcript.hello.negotiated_session_id = established.session_id;
            if let Some(submit) = submit.take() {
                let submit = Submit::new(FrameKey::new(options.frame_id), submit);
                let taken = single.machine.submit(submit, single.clock.now());
                taken.map_err(|refused| SmokeError::Submit(refused.why))?;
            }
        } else if let ClientEvent::FrameResult { result, .. } = event {
            has_result = true;
            transcript.result_tile_count = result.metadata.tile_count;
        } else if let ClientEvent::FrameDone { outcome, error, .. } = event {
            if !has_result {
                return Err(SmokeError::NoResult { outcome, error });
            }
            if single.link.transport() == TransportId::Quic {
                let came_by = single.link.reader.last_stream();
                transcript.result_stream_id = came_by.unwrap_or(CONTROL_STREAM);
                return Ok(transcript);
            }
            return Ok(transcript.over_tcp());
        } else if let ClientEvent::Failed(failure) = event {
            return Err(SmokeError::Failed(failure));
        }
    }
    Err(SmokeError::Ended)
}

/// Serves one client: gives it this session id, answers its frame, and waits for it to end, at most for a second. It has no
/// time limit but those of the session's own steps. If it is dropped, the link is closed as it is.
///
/// # Errors
/// If there was no frame to answer.
pub async fn smoke_server(link: Link, session_id: u32) -> Result<SmokeTranscript, SmokeError> {
    let (mut single, hello) = begin(link, session_id).await?;
    let done = exchange_as_server(&mut single, hello).await;
    end(single, done.is_ok()).await;
    done
}

/// Serves one client up to its hello: gives it this session id, and waits for it to end, at most for a second. It has no
/// time limit but that of the hello. If it is dropped, the link is closed as it is.
///
/// # Errors
/// If there was no hello to answer.
pub async fn smoke_hello_server(link: Link, session_id: u32) -> Result<SmokeHello, SmokeError> {
    let (single, hello) = begin(link, session_id).await?;
    end(single, true).await;
    Ok(hello)
}

async fn begin(
    mut link: Link,
    session_id: u32,
) -> Result<(Single<ServerSession>, SmokeHello), SmokeError> {
    let clock = Clock::start();
    let options = ServerOptions::default();
    let mut connection = ServerConnection::new(options, PATH, link.transport(), clock.now());
    let mut early = Vec::new();
    let offer = first_hello(&mut link, &mut connection, clock, &mut early).await;
    let offer = match offer {
        Ok(offer) => offer,
        Err(error) => {
            // It is told why.
            let _ = timeout(GRACE, link.writer.finish()).await;
            return Err(error);
        }
    };
    let hello = SmokeHello {
        requested_session_id: offer.hello.metadata.requested_session_id,
        negotiated_session_id: session_id,
        control_stream_id: CONTROL_STREAM,
    };
    let ack = ServerHelloAck::new(ack(session_id));
    let machine = connection.accept(ack, clock.now());
    let single = Single {
        machine: machine.map_err(SmokeError::Accept)?,
        link,
        clock,
        early,
    };
    Ok((single, hello))
}

async fn first_hello(
    link: &mut Link,
    connection: &mut ServerConnection,
    clock: Clock,
    early: &mut Vec<nnrp_wire::Packet>,
) -> Result<HelloOffer, SmokeError> {
    loop {
        let event = connection.poll_event();
        while let Some(transmit) = connection.poll_transmit() {
            link.writer.queue(&transmit).map_err(SmokeError::Build)?;
        }
        match event {
            Some(ConnectionEvent::Hello(offer)) => return Ok(*offer),
            Some(ConnectionEvent::Failed(failure)) => return Err(SmokeError::Failed(failure)),
            Some(ConnectionEvent::Ended(end)) => {
                return Err(SmokeError::Failed(Box::new(Failure::Path(end))));
            }
            Some(_) => return Err(SmokeError::Ended),
            None => {}
        }
        let deadline = connection.next_timeout().unwrap_or_default();
        tokio::select! {
            packet = exchange(&mut link.reader, &mut link.writer) => match packet {
                Ok(packet) => {
                    let handled = connection.handle_packet(&packet, clock.now());
                    if handled == Err(HandleError::Early) && early.is_empty() {
                        early.push(packet);
                    }
                }
                Err(end) => connection.handle_path_end(end),
            },
            () = tokio::time::sleep_until(clock.at(deadline)) => connection.handle_timeout(clock.now()),
        }
    }
}

async fn exchange_as_server(
    single: &mut Single<ServerSession>,
    hello: SmokeHello,
) -> Result<SmokeTranscript, SmokeError> {
    while let Some(event) = single.next_event().await {
        if let ServerEvent::FrameSubmitted { key, submit, .. } = event {
            let result = result().map_err(SmokeError::Build)?;
            let mut transcript = SmokeTranscript {
                hello,
                frame_id: key.frame_id,
                submit_stream_id: FIRST_SUBMIT_STREAM,
                result_stream_id: FIRST_RESULT_STREAM,
                submit_tile_count: submit.metadata.tile_count,
                result_tile_count: result.metadata.tile_count,
            };
            let now = single.clock.now();
            let pushed = single.machine.push_result(key, result, true, now);
            pushed.map_err(SmokeError::Result)?;
            if single.link.transport() == TransportId::Quic {
                let came_by = single.link.reader.last_stream();
                transcript.submit_stream_id = came_by.unwrap_or(CONTROL_STREAM);
                return Ok(transcript);
            }
            return Ok(transcript.over_tcp());
        }
        if let ServerEvent::Failed(failure) = event {
            return Err(SmokeError::Failed(failure));
        }
    }
    Err(SmokeError::Ended)
}

impl SmokeTranscript {
    const fn over_tcp(self) -> Self {
        Self {
            submit_stream_id: TCP_STREAM,
            result_stream_id: TCP_STREAM,
            ..self
        }
    }
}

/// Lets the client end first, and ends it if it does not.
async fn end(mut single: Single<ServerSession>, is_good: bool) {
    if is_good {
        let ended = async { while single.next_event().await.is_some() {} };
        let is_ended = timeout(GRACE, ended).await.is_ok();
        if !is_ended
            && single
                .machine
                .close(Bytes::new(), single.clock.now())
                .is_ok()
        {
            while single.next_event().await.is_some() {}
        }
    }
    single.finish().await;
}

const TILES: [u16; 3] = [0, 1, 2];

fn submit() -> Result<FrameSubmit, WireError> {
    let tiles = [b"aa", b"bb", b"cc"].map(|tile| Bytes::from_static(tile));
    let sections = [TensorSection::new(1, DType::UInt8, &tiles)];
    let options = SubmitOptions {
        latency_budget_ms: 50,
        target_fps_x100: 6000,
        ..SubmitOptions::default()
    };
    let tensor = TensorInput {
        src_width: 640,
        src_height: 360,
        tile_width: 32,
        tile_height: 32,
        input_profile: InputProfile::DenseLumaFrame,
        camera: Bytes::from_static(b"camera!!"),
        tiles: Tiles::raw(&TILES),
        sections: &sections,
    };
    FrameSubmit::builder()
        .tensor(tensor)
        .options(options)
        .build()
}

fn result() -> Result<ResultPush, WireError> {
    let tiles = [b"ra", b"rb", b"rc"].map(|tile| Bytes::from_static(tile));
    let sections = [TensorSection::new(100, DType::UInt8, &tiles)];
    let options = ResultOptions {
        active_profile_id: 1,
        inference_ms: 12,
        queue_ms: 2,
        server_total_ms: 14,
        ..ResultOptions::default()
    };
    let tensor = TensorOutput {
        tiles: Tiles::raw(&TILES),
        sections: &sections,
        dropped_tile_count: 0,
    };
    let builder = ResultPush::builder(ResultWorth::COMPLETE);
    builder.tensor(tensor).options(options).build()
}

/// As the reference's smoke server has it. spec: nnrp-session 2.3
fn ack(session_id: u32) -> ServerHelloAckMetadata {
    ServerHelloAckMetadata {
        session_id,
        selected_version_major: 1,
        accepted_profile_bitmap: 1,
        accepted_payload_kind_bitmap: PayloadKinds::TENSOR.bits(),
        accepted_codec_bitmap: 3,
        accepted_compression_bitmap: 3,
        accepted_dtype_bitmap: 7,
        accepted_layout_bitmap: 1,
        cache_digest_bitmap: 1,
        cache_object_bitmap: 7,
        max_cache_entries: 16,
        max_cache_bytes: 1 << 20,
        max_lane_count: 1,
        max_concurrent_frames: 2,
        target_cadence_x100: 6000,
        latency_budget_ms: 50,
        quality_tier: 2,
        max_body_bytes: 4 << 20,
        token_ttl_ms: 300_000,
        server_flags: 1,
        ..ServerHelloAckMetadata::default()
    }
}
