//! What comes from the server. spec: nnrp-session 2.4, 3.2 to 3.4, 4

use std::time::Duration;

use super::{ClientEvent, ClientSession, ClientState, FrameError};
use crate::error::{Category, WireError};
use crate::header::Header;
use crate::message::{Envelope, ErrorReport, Message, ResultPush, ServerHelloAck};
use crate::metadata::{CacheAckMetadata, FlowUpdateMetadata};
use crate::numbers::{ErrorCode, ErrorScope, HeaderFlags, MessageType, ResultClass, ResultFlags};
use crate::packet::Packet;
use crate::session::cache_client::CacheClient;
use crate::session::credit::{CreditUpdate, CreditWindow};
use crate::session::fault::{Failure, HandleError, PeerError};
use crate::session::frame::{FrameKey, FrameOutcome, FrameState};
use crate::session::hello::Established;
use crate::session::liveness::Liveness;
use crate::session::migration::MigrationFailure;
use crate::session::transmit::PathId;

impl ClientSession {
    /// A packet has come.
    ///
    /// # Errors
    /// [`HandleError::Congested`] if the packet was not taken: take what waits, then give it again. [`HandleError::Early`] if
    /// it is a result ahead of the answer to a migration, as happens on QUIC: give it again behind the next packet of the
    /// path. [`HandleError::Over`] after the end, [`HandleError::UnknownPath`] if the path is none of the session's.
    pub fn handle_packet(
        &mut self,
        path: PathId,
        packet: &Packet,
        now: Duration,
    ) -> Result<(), HandleError> {
        self.check_path(path)?;
        self.check_early(path, packet.header().message_type)?;
        self.counters.packets += 1;
        self.liveness.received(now);
        let header = packet.header();
        self.events.begin_packet(packet.bytes());
        if self.is_hello_amiss(header.message_type) {
            self.hello_amiss(path, header.message_type, now);
        } else {
            let options = self.options.extensions.decode_options(self.options.rules);
            match Message::decode(packet, &options) {
                Ok(message) => self.receive(path, &Envelope::from(header), message, now),
                Err(error) => self.undecodable(path, header, error, now),
            }
        }
        self.events.end_packet();
        self.advance_closing(now);
        Ok(())
    }

    /// Framing is intact: what cannot be read costs as little as can be.
    fn undecodable(&mut self, path: PathId, header: &Header, error: WireError, now: Duration) {
        self.counters.undecodable += 1;
        let found = header.message_type;
        if self.is_migrating_to(path) {
            let failure = MigrationFailure::Unexpected { found };
            return self.migration_failed(failure, now);
        }
        let is_first = self.state == ClientState::HelloSent;
        if is_first || error.category == Category::UnsupportedVersion {
            return self.fail(Failure::Malformed(error), now);
        }
        let key = FrameKey::from(header);
        let is_ours = header.session_id == self.session_id();
        if found == MessageType::ResultPush && is_ours && self.frames.state(key).is_some() {
            let error = Some(FrameError::Malformed(error));
            return self.finish(key, FrameOutcome::Error, error, now);
        }
        self.events.push_back(ClientEvent::Undecodable {
            message_type: found,
            error,
        });
    }

    fn receive(&mut self, path: PathId, envelope: &Envelope, message: Message, now: Duration) {
        if self.is_migrating_to(path) {
            return self.receive_while_migrating(envelope, message, now);
        }
        if self.state == ClientState::HelloSent {
            return self.receive_first(envelope, message, now);
        }
        if self.is_foreign(envelope, &message) {
            self.counters.foreign += 1;
            return;
        }
        let key = FrameKey::from(envelope);
        match message {
            Message::ResultPush(result) => self.result(path, envelope, result, now),
            Message::ResultDrop => self.terminal(path, key, FrameOutcome::Dropped, None, now),
            Message::ResultHint(hint) => self.hint(key, hint),
            Message::FlowUpdate(update) => self.flow(update, now),
            Message::Error(report) => self.error(path, envelope, &report, now),
            Message::Close(reason) => self.close_received(reason, now),
            Message::SessionPatchAck(ack) if self.patch_deadline.take().is_some() => {
                self.events.push_back(ClientEvent::Patched(Box::new(ack)));
            }
            Message::CacheAck(ack) => self.cache_answer(ack, now),
            Message::CacheInvalidate(invalidate) => {
                self.cache.invalidate(&invalidate);
                self.events
                    .push_back(ClientEvent::CacheInvalidated(invalidate));
            }
            Message::TransportProbeAck(ack) => self.probe_answer(&ack, now),
            Message::Ping => self.pong(path, envelope),
            Message::Pong => self.ponged(envelope, now),
            Message::ClientHello(_)
            | Message::ServerHelloAck(_)
            | Message::SessionPatch(_)
            | Message::SessionPatchAck(_)
            | Message::FrameSubmit(_)
            | Message::FrameCancel
            | Message::CachePut(_)
            | Message::TransportProbe(_)
            | Message::SessionMigrate(_)
            | Message::SessionMigrateAck(_) => self.counters.unexpected += 1,
        }
    }

    /// Results name their session; other messages may leave it open.
    fn is_foreign(&self, envelope: &Envelope, message: &Message) -> bool {
        let names_it = matches!(message, Message::ResultPush(_) | Message::ResultDrop);
        let may_be_open = !names_it && envelope.session_id == 0;
        envelope.session_id != self.session_id() && !may_be_open
    }

    /// spec: nnrp-session 2.1
    fn receive_first(&mut self, envelope: &Envelope, message: Message, now: Duration) {
        let failure = if let Message::ServerHelloAck(ack) = message {
            return self.hello_answered(envelope, ack, now);
        } else if let Message::Error(report) = message {
            Failure::Peer(PeerError::from_report(&report))
        } else {
            Failure::Unexpected {
                found: message.message_type(),
                expected: MessageType::ServerHelloAck,
            }
        };
        self.fail(failure, now);
    }

    fn hello_answered(&mut self, envelope: &Envelope, ack: ServerHelloAck, now: Duration) {
        let hello = &self.options.hello.metadata;
        let established = match Established::from_ack(hello, envelope, ack) {
            Ok(established) => Box::new(established),
            Err(fault) => return self.fail(Failure::Ack(fault), now),
        };
        let ack = &established.ack;
        self.credit = CreditWindow::new(ack.max_concurrent_frames, self.options.operations_max);
        let checks_kinds = !self.options.puts_without_cache;
        self.cache = CacheClient::new(ack, self.options.cache_entries_max, checks_kinds);
        self.connect_deadline = None;
        // Silence counts from here on.
        self.liveness = Liveness::new(self.options.liveness, now);
        self.state = ClientState::Active;
        self.established = Some(established.clone());
        self.events.push_back(ClientEvent::Active(established));
    }

    /// spec: nnrp-session 3.4
    fn result(&mut self, path: PathId, envelope: &Envelope, result: ResultPush, now: Duration) {
        let key = FrameKey::from(envelope);
        let class = result.metadata.result_class;
        let is_last = envelope.flags.contains(HeaderFlags::EOS);
        let is_partial = class == ResultClass::Partial
            || result.metadata.result_flags.contains(ResultFlags::PARTIAL);
        let ends_credit = is_last || !is_partial;
        let is_stream = self.frames.get(key).is_some_and(|frame| frame.is_stream);
        let is_terminal = is_last || (!is_partial && !is_stream);
        match self.expected_state(path, key) {
            None => return,
            Some(FrameState::Cancelling) if ends_credit => {
                return self.finish(key, outcome(class), None, now);
            }
            Some(FrameState::Cancelling) => return,
            Some(FrameState::Pending | FrameState::InFlight | FrameState::Partial) => {}
        }
        self.reached(path, key);
        self.events.push_back(ClientEvent::FrameResult {
            key,
            envelope: *envelope,
            result: Box::new(result),
        });
        if is_terminal {
            self.last_result_frame_id = self.last_result_frame_id.max(key.frame_id);
            return self.finish(key, outcome(class), None, now);
        }
        self.frames.partial(key);
        if ends_credit {
            self.give_credit_back(key);
            self.pump(now);
        }
    }

    /// Where the frame is that something came for. What comes for others is counted; what comes for frames that were not
    /// sent is as wrong as what comes for frames that never were.
    fn expected_state(&mut self, path: PathId, key: FrameKey) -> Option<FrameState> {
        let is_old = self.old.as_ref().is_some_and(|old| old.path == path);
        let is_resubmitted = self.resume_from > 0 && u64::from(key.frame_id) >= self.resume_from;
        match self.frames.state(key) {
            Some(_) if is_old && is_resubmitted => self.counters.duplicate += 1,
            Some(FrameState::Pending) => self.counters.unknown += 1,
            None if self.frames.is_finished(key) => self.counters.late += 1,
            None => self.counters.unknown += 1,
            Some(state) => return Some(state),
        }
        None
    }

    fn terminal(
        &mut self,
        path: PathId,
        key: FrameKey,
        outcome: FrameOutcome,
        error: Option<FrameError>,
        now: Duration,
    ) {
        if self.expected_state(path, key).is_some() {
            self.last_result_frame_id = self.last_result_frame_id.max(key.frame_id);
            self.finish(key, outcome, error, now);
        }
    }

    fn hint(&mut self, key: FrameKey, hint: crate::metadata::ResultHintMetadata) {
        let state = self.frames.state(key);
        if matches!(state, Some(FrameState::InFlight | FrameState::Partial)) {
            self.events.push_back(ClientEvent::FrameHint { key, hint });
        }
    }

    fn flow(&mut self, update: FlowUpdateMetadata, now: Duration) {
        match self.credit.update(&update, now) {
            CreditUpdate::Applied => {
                self.events.push_back(ClientEvent::Flow(update));
                self.pump(now);
            }
            CreditUpdate::OldEpoch | CreditUpdate::TooManyOperations => {
                self.counters.ignored_updates += 1;
            }
        }
    }

    /// spec: nnrp-session 4.8
    fn error(&mut self, path: PathId, envelope: &Envelope, report: &ErrorReport, now: Duration) {
        let metadata = &report.metadata;
        let error = PeerError::from_report(report);
        let is_old = self.old.as_ref().is_some_and(|old| old.path == path);
        if metadata.is_fatal != 0 {
            if is_old && metadata.error_scope == ErrorScope::Connection {
                return self.close_old(now);
            }
            return self.fail(Failure::Peer(error), now);
        }
        if metadata.error_scope != ErrorScope::Frame {
            return self.events.push_back(ClientEvent::Reported(error));
        }
        let key = related_frame(envelope, report);
        if metadata.known_code() == Some(ErrorCode::CacheMiss)
            && let Some(frame) = self.frames.get(key)
        {
            for reference in &frame.references {
                self.cache.missed(reference);
            }
        }
        let error = Some(FrameError::Peer(error));
        self.terminal(path, key, FrameOutcome::Error, error, now);
    }

    fn cache_answer(&mut self, ack: CacheAckMetadata, now: Duration) {
        if self.cache.answer(&ack, now) {
            self.events.push_back(ClientEvent::CacheAnswer(ack));
        } else {
            self.counters.unexpected += 1;
        }
    }

    fn probe_answer(&mut self, ack: &crate::metadata::TransportProbeAckMetadata, now: Duration) {
        let sample = self.probe.and_then(|(probe, _)| probe.finish(ack, now));
        match sample {
            Some(sample) => {
                self.probe = None;
                self.events.push_back(ClientEvent::Probed(sample));
            }
            None => self.counters.unexpected += 1,
        }
    }

    /// At once, ahead of what waits. spec: nnrp-session 4.2
    fn pong(&mut self, path: PathId, ping: &Envelope) {
        self.outbox
            .push(path, crate::session::pong_envelope(ping), Message::Pong);
    }

    fn ponged(&mut self, envelope: &Envelope, now: Duration) {
        if let Some(round_trip) = self.liveness.ponged(envelope.trace_id, now) {
            self.events.push_back(ClientEvent::RoundTrip(round_trip));
        }
    }
}

const fn outcome(class: ResultClass) -> FrameOutcome {
    match class {
        ResultClass::Complete | ResultClass::Partial => FrameOutcome::Complete,
        ResultClass::StaleReuse => FrameOutcome::Stale,
        ResultClass::Degraded => FrameOutcome::Degraded,
    }
}

/// The metadata's frame; the header's if that names none.
fn related_frame(envelope: &Envelope, report: &ErrorReport) -> FrameKey {
    let metadata = &report.metadata;
    if metadata.related_frame_id == 0 {
        return FrameKey::from(envelope);
    }
    FrameKey {
        frame_id: metadata.related_frame_id,
        view_id: u16::try_from(metadata.related_view_id).unwrap_or(envelope.view_id),
    }
}
