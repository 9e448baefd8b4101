//! A client's session: from connecting to the end, over one transport or several. spec: nnrp-session 2 to 5

mod admit;
mod close;
mod options;
mod path;
mod receive;
mod submit;

use std::collections::VecDeque;
use std::time::Duration;

pub use options::{
    ClientCounters, ClientEvent, ClientOptions, ClientState, FrameError, Submit, SubmitRefusal,
    SubmitRefused,
};

use self::close::Closing;
use self::path::{Migrating, OldPath, Primary};
use self::submit::ClientFrame;
use super::cache_client::{CacheClient, PutRefusal};
use super::content::check_message;
use super::credit::CreditWindow;
use super::fault::{Failure, HandleError};
use super::frame::{FrameCounts, FrameKey, FrameSlots, FrameState};
use super::hello::Established;
use super::liveness::Liveness;
use super::probe::Probe;
use super::queue::{Events, Limits};
use super::transmit::{Outbox, PathId, Transmit};
use crate::message::{CachePut, Envelope, Message, SessionPatch};
use crate::metadata::{CacheInvalidateMetadata, FlowUpdateMetadata, ServerHelloAckMetadata};
use crate::numbers::{HeaderFlags, TransportId};

/// A client's side of a session, without connections and without a clock.
///
/// Tell it what happens (`connect`, `connected`, `handle_*`) and what you want (`submit`, `cancel`, `close`, ...), each with
/// the time on a clock of yours that never goes back. After each call, send what [`Self::poll_transmit`] gives, take what
/// [`Self::poll_event`] gives, and call [`Self::handle_timeout`] when [`Self::next_timeout`] has come.
#[derive(Debug)]
pub struct ClientSession {
    options: ClientOptions,
    state: ClientState,
    connect_deadline: Option<Duration>,
    established: Option<Box<Established>>,
    primary: Option<Primary>,
    old: Option<OldPath>,
    migrating: Option<Migrating>,
    /// Set by a migration: the least key that may be submitted next.
    resume_at: Option<(u64, u16)>,
    resume_from: u64,
    frames: FrameSlots<ClientFrame>,
    pending: VecDeque<FrameKey>,
    /// What the submits of frames hold: of those that wait for credit, and of those that may have to be sent again.
    pending_bytes: u64,
    kept_bytes: u64,
    wants_credit: bool,
    credit: CreditWindow,
    cache: CacheClient,
    patch_deadline: Option<Duration>,
    probe: Option<(Probe, Duration)>,
    liveness: Liveness,
    pings: u64,
    closing: Option<Closing>,
    failure: Option<Failure>,
    last_result_frame_id: u32,
    outbox: Outbox,
    events: Events<ClientEvent>,
    counters: ClientCounters,
}

impl ClientSession {
    /// Idle.
    #[must_use]
    pub fn new(options: ClientOptions) -> Self {
        let nothing = no_ack();
        Self {
            state: ClientState::Idle,
            connect_deadline: None,
            established: None,
            primary: None,
            old: None,
            migrating: None,
            resume_at: None,
            resume_from: 0,
            frames: FrameSlots::new(options.frames_max, options.finished_max),
            pending: VecDeque::new(),
            pending_bytes: 0,
            kept_bytes: 0,
            wants_credit: false,
            credit: CreditWindow::new(0, options.operations_max),
            cache: CacheClient::new(&nothing, 0, true),
            patch_deadline: None,
            probe: None,
            liveness: Liveness::new(options.liveness, Duration::ZERO),
            pings: 0,
            closing: None,
            failure: None,
            last_result_frame_id: 0,
            outbox: Outbox::default(),
            events: Events::default(),
            counters: ClientCounters::default(),
            options,
        }
    }

    /// A connection is being made.
    pub fn connect(&mut self, now: Duration) {
        if self.state == ClientState::Idle {
            self.state = ClientState::Connecting;
            let deadline = now.saturating_add(self.options.connect_timeout);
            self.connect_deadline = Some(deadline);
        }
    }

    /// It is made; the hello goes out. Without [`Self::connect`] before, the time to wait begins here.
    ///
    /// # Errors
    /// [`HandleError::Over`] if the session is past that; [`HandleError::Invalid`] if the hello of the options breaks a rule.
    pub fn connected(
        &mut self,
        path: PathId,
        transport: TransportId,
        now: Duration,
    ) -> Result<(), HandleError> {
        self.connect(now);
        if self.state != ClientState::Connecting {
            return Err(HandleError::Over);
        }
        let envelope = Envelope {
            flags: HeaderFlags::ACK_REQUIRED,
            ..Envelope::default()
        };
        let hello = Message::ClientHello(self.options.hello.clone());
        check_message(&hello, &envelope).map_err(HandleError::Invalid)?;
        self.primary = Some(Primary::new(path, transport));
        self.liveness = Liveness::new(self.options.liveness, now);
        self.state = ClientState::HelloSent;
        self.outbox.push(path, envelope, hello);
        Ok(())
    }

    /// The next message to send, if there is one; `now` is when it goes out.
    pub fn poll_transmit(&mut self, now: Duration) -> Option<Transmit> {
        let transmit = self.outbox.pop()?;
        self.liveness.sent(now);
        Some(transmit)
    }

    /// Whether [`Self::poll_transmit`] has something.
    #[must_use]
    pub fn has_transmit(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// What has happened, if anything has.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// Changes settings of the session. One patch at a time; [`ClientEvent::Patched`] follows, or
    /// [`ClientEvent::Unanswered`].
    ///
    /// # Errors
    /// [`HandleError::Over`] unless the session is active, [`HandleError::Congested`] while one has not been answered.
    pub fn patch(&mut self, patch: SessionPatch, now: Duration) -> Result<(), HandleError> {
        let path = self.active_path().ok_or(HandleError::Over)?;
        if self.patch_deadline.is_some() || self.is_congested() {
            return Err(HandleError::Congested);
        }
        self.patch_deadline = Some(now.saturating_add(self.options.answer_timeout));
        let envelope = self.asking();
        self.outbox
            .push(path, envelope, Message::SessionPatch(patch));
        Ok(())
    }

    /// Gives the server an object to keep; [`ClientEvent::CacheAnswer`] follows, or [`ClientEvent::Unanswered`]. It can be
    /// referenced once it is kept.
    ///
    /// # Errors
    /// If it must not be put; nothing is sent then.
    pub fn put(&mut self, put: CachePut, now: Duration) -> Result<(), PutRefusal> {
        let path = self.active_path().ok_or(PutRefusal::NotActive)?;
        if self.is_congested() {
            return Err(PutRefusal::Congested);
        }
        let deadline = now.saturating_add(self.options.answer_timeout);
        self.cache.put(&put, now, deadline)?;
        let envelope = self.asking();
        self.outbox.push(path, envelope, Message::CachePut(put));
        Ok(())
    }

    /// Has the server forget objects. There is no answer.
    ///
    /// # Errors
    /// [`HandleError::Over`] unless the session is active; [`HandleError::Congested`] if too much waits to be sent.
    pub fn invalidate(&mut self, invalidate: CacheInvalidateMetadata) -> Result<(), HandleError> {
        let path = self.active_path().ok_or(HandleError::Over)?;
        if self.is_congested() {
            return Err(HandleError::Congested);
        }
        self.cache.invalidate(&invalidate);
        let message = Message::CacheInvalidate(invalidate);
        self.outbox.push(path, self.envelope(), message);
        Ok(())
    }

    /// Tells the server how many results that are not the last of their frame this side takes.
    ///
    /// # Errors
    /// As [`Self::invalidate`]; and [`HandleError::Invalid`] if a field is set that its scope does not have.
    pub fn flow_update(&mut self, update: FlowUpdateMetadata) -> Result<(), HandleError> {
        let path = self.active_path().ok_or(HandleError::Over)?;
        if self.is_congested() {
            return Err(HandleError::Congested);
        }
        let envelope = super::flow_envelope(&update, self.session_id());
        let message = Message::FlowUpdate(update);
        check_message(&message, &envelope).map_err(HandleError::Invalid)?;
        self.outbox.push(path, envelope, message);
        Ok(())
    }

    /// Measures the path, one probe at a time; [`ClientEvent::Probed`] follows, or [`ClientEvent::Unanswered`].
    ///
    /// # Errors
    /// [`HandleError::Over`] unless the session is active; [`HandleError::Congested`] while one has not been answered.
    pub fn probe(&mut self, probe_id: u32, bytes: u32, now: Duration) -> Result<(), HandleError> {
        let path = self.active_path().ok_or(HandleError::Over)?;
        if self.probe.is_some() || self.is_congested() {
            return Err(HandleError::Congested);
        }
        let (probe, message) = Probe::begin(probe_id, bytes, now);
        let deadline = now.saturating_add(self.options.answer_timeout);
        self.probe = Some((probe, deadline));
        self.outbox.push(path, Envelope::default(), message);
        Ok(())
    }

    /// Asks whether the server is there; [`ClientEvent::RoundTrip`] follows if it answers, which the reference never does.
    /// Only the answer to the last PING counts.
    ///
    /// # Errors
    /// As [`Self::invalidate`].
    pub fn ping(&mut self, now: Duration) -> Result<(), HandleError> {
        self.active_path().ok_or(HandleError::Over)?;
        if self.is_congested() {
            return Err(HandleError::Congested);
        }
        self.keep_alive(now);
        Ok(())
    }

    /// Packets wait, and are not taken in for reasons of the caller's own: that nothing was heard until now is not the other
    /// side's fault, and does not end the session.
    pub const fn excuse_silence(&mut self, now: Duration) {
        self.liveness.excused(now);
    }

    /// Where the session is.
    #[must_use]
    pub const fn state(&self) -> ClientState {
        self.state
    }

    /// What holds, once that is known.
    #[must_use]
    pub fn established(&self) -> Option<&Established> {
        self.established.as_deref()
    }

    /// The session's id; 0 before it has one.
    #[must_use]
    pub fn session_id(&self) -> u32 {
        self.established
            .as_ref()
            .map_or(0, |established| established.session_id)
    }

    /// The connection that submits go to.
    #[must_use]
    pub fn primary_path(&self) -> Option<PathId> {
        self.primary.as_ref().map(|primary| primary.path)
    }

    /// Why the session has failed.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// How many frames there are.
    #[must_use]
    pub const fn frames(&self) -> FrameCounts {
        self.frames.counts()
    }

    /// Where a frame is that has not ended.
    #[must_use]
    pub fn frame_state(&self, key: FrameKey) -> Option<FrameState> {
        self.frames.state(key)
    }

    /// How much may be in flight.
    #[must_use]
    pub const fn credit(&self) -> &CreditWindow {
        &self.credit
    }

    /// What the server keeps.
    #[must_use]
    pub const fn cache(&self) -> &CacheClient {
        &self.cache
    }

    /// What was left out.
    #[must_use]
    pub const fn counters(&self) -> ClientCounters {
        self.counters
    }

    /// The greatest frame whose last result has come.
    #[must_use]
    pub const fn last_result_frame_id(&self) -> u32 {
        self.last_result_frame_id
    }

    fn envelope(&self) -> Envelope {
        Envelope::session(self.session_id())
    }

    fn asking(&self) -> Envelope {
        Envelope {
            flags: HeaderFlags::ACK_REQUIRED,
            ..self.envelope()
        }
    }

    const fn is_over(&self) -> bool {
        matches!(self.state, ClientState::Closed | ClientState::Failed)
    }

    /// Where messages go while there is a session that does not end.
    fn active_path(&self) -> Option<PathId> {
        let is_active = self.state == ClientState::Active;
        self.primary_path().filter(|_| is_active)
    }

    fn is_congested(&self) -> bool {
        self.outbox.is_full(Limits {
            items_max: self.options.transmits_max,
            bytes_max: self.options.transmits_bytes_max,
        })
    }
}

/// Nothing is known, and nothing allowed.
fn no_ack() -> ServerHelloAckMetadata {
    ServerHelloAckMetadata {
        selected_version_major: 0,
        ..ServerHelloAckMetadata::default()
    }
}
