//! What comes from the client. spec: nnrp-session 5.3

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::connection::probe_ack;
use super::options::{ServerEvent, ServerState, SubmitFault};
use super::result::answer_envelope;
use super::session::{ServerFrame, ServerSession};
use crate::body::ObjectReference;
use crate::error::{Category, WireError};
use crate::header::Header;
use crate::message::{Envelope, ErrorReport, FrameSubmit, Message, SubmitBody};
use crate::metadata::FlowUpdateMetadata;
use crate::numbers::{ErrorCode, MessageType, PatchMask, PayloadKinds, TransportId};
use crate::packet::Packet;
use crate::session::content::may_drop;
use crate::session::credit::{CreditUpdate, NoCredit};
use crate::session::fault::{Failure, Fault, HandleError, PeerError};
use crate::session::frame::{FrameKey, FrameOutcome, SlotRefusal};
use crate::session::transmit::PathId;

/// Cancellations that came before their submit, and until when they are remembered. spec: nnrp-session 4.5
#[derive(Debug, Default)]
pub(super) struct EarlyCancels(VecDeque<(Duration, FrameKey)>);

impl EarlyCancels {
    fn add(&mut self, key: FrameKey, until: Duration, count_max: usize) {
        self.0.retain(|(_, other)| *other != key);
        if count_max == 0 {
            return;
        }
        if self.0.len() >= count_max {
            self.0.pop_front();
        }
        self.0.push_back((until, key));
    }

    fn take(&mut self, key: FrameKey, now: Duration) -> bool {
        let place = self.0.iter().position(|(_, other)| *other == key);
        let taken = place.and_then(|place| self.0.remove(place));
        taken.is_some_and(|(until, _)| until > now)
    }
}

impl ServerSession {
    /// A packet has come.
    ///
    /// # Errors
    /// [`HandleError::Congested`] if the packet was not taken: take what waits, then give it again. [`HandleError::Over`]
    /// after the end, [`HandleError::UnknownPath`] if the path is none of the session's.
    pub fn handle_packet(
        &mut self,
        path: PathId,
        packet: &Packet,
        now: Duration,
    ) -> Result<(), HandleError> {
        self.check_sending()?;
        let old = self.old.as_ref().map(|old| old.path);
        if path != self.path && Some(path) != old {
            return Err(HandleError::UnknownPath);
        }
        if self.events.is_full(self.options.event_limits()) {
            return Err(HandleError::Congested);
        }
        self.counters.packets += 1;
        self.liveness.received(now);
        let options = self.options.extensions.decode_options(self.options.rules);
        let header = packet.header();
        self.events.begin_packet(packet.bytes());
        match Message::decode(packet, &options) {
            Ok(message) => self.receive(path, header, message, now),
            Err(error) => self.undecodable(header, error, now),
        }
        self.events.end_packet();
        self.advance_closing(now);
        Ok(())
    }

    /// Framing is intact, so that the session goes on. spec: nnrp-session 4.8
    fn undecodable(&mut self, header: &Header, error: WireError, now: Duration) {
        self.counters.undecodable += 1;
        let code = error.category.error_code();
        let code = code.unwrap_or(ErrorCode::MalformedBody);
        let text = error.to_string();
        if error.category == Category::UnsupportedVersion {
            self.tell_end(code, &text);
            return self.fail(Failure::Malformed(error), now);
        }
        let message_type = header.message_type;
        let envelope = Envelope::from(header);
        if message_type == MessageType::FrameSubmit {
            // An error would end the frame that is in flight under the same key.
            if self.frames.state(FrameKey::from(header)).is_some() {
                self.refuse_silently(&envelope, SubmitFault::Duplicate);
            } else {
                self.refuse(&envelope, SubmitFault::Malformed, code, &text);
            }
        } else if message_type != MessageType::Error {
            // An error that is answered with an error may never end.
            let message = Fault::session(code, self.session_id()).message(&text);
            self.outbox.push(self.path, self.envelope(), message);
        }
        self.events.push_back(ServerEvent::Undecodable {
            message_type,
            error,
        });
    }

    fn receive(&mut self, path: PathId, header: &Header, message: Message, now: Duration) {
        let envelope = &Envelope::from(header);
        let is_foreign = envelope.session_id != 0 && envelope.session_id != self.session_id();
        let is_submit = matches!(message, Message::FrameSubmit(_));
        if is_foreign && !is_submit {
            self.counters.foreign += 1;
            return;
        }
        match message {
            Message::FrameSubmit(submit) => self.submit(path, header, submit, now),
            Message::FrameCancel => self.cancel(FrameKey::from(header), envelope, now),
            Message::SessionPatch(patch) => {
                let before = *self.patching.settings();
                let ack = self.patching.apply(&patch, now);
                let is_changed = ack.metadata.applied_patch_mask != PatchMask::empty();
                if is_changed && before != *self.patching.settings() {
                    let settings = *self.patching.settings();
                    self.events.push_back(ServerEvent::Patched(settings));
                }
                self.reply(path, Message::SessionPatchAck(ack));
            }
            Message::CachePut(put) => {
                let ack = self.cache.put(&put, now);
                self.reply(path, Message::CacheAck(ack));
            }
            Message::CacheInvalidate(invalidate) => {
                self.cache.invalidate(&invalidate);
                let event = ServerEvent::CacheInvalidated(invalidate);
                self.events.push_back(event);
            }
            Message::FlowUpdate(update) => self.flow(update, now),
            Message::Ping => {
                let pong = crate::session::pong_envelope(envelope);
                self.outbox.push(path, pong, Message::Pong);
            }
            Message::Pong => {
                if let Some(round_trip) = self.liveness.ponged(envelope.trace_id, now) {
                    self.events.push_back(ServerEvent::RoundTrip(round_trip));
                }
            }
            Message::TransportProbe(probe) => {
                let ack = probe_ack(&probe, now);
                self.outbox.push(path, Envelope::default(), ack);
            }
            Message::Close(reason) => self.close_received(reason, now),
            Message::Error(report) => self.error(&report, now),
            Message::ClientHello(_) => {
                let reason = "there is a session already";
                self.tell_end(ErrorCode::InvalidState, reason);
                let code = ErrorCode::InvalidState;
                self.fail(Failure::Refused { code, reason }, now);
            }
            Message::SessionMigrate(_) | Message::ResultPush(_) | Message::ResultDrop => {
                self.counters.unexpected += 1;
                let fault = Fault::session(ErrorCode::InvalidState, self.session_id());
                self.reply(path, fault.message("not in a session"));
            }
            Message::ServerHelloAck(_)
            | Message::SessionPatchAck(_)
            | Message::CacheAck(_)
            | Message::ResultHint(_)
            | Message::TransportProbeAck(_)
            | Message::SessionMigrateAck(_) => self.counters.unexpected += 1,
        }
    }

    fn reply(&mut self, path: PathId, message: Message) {
        self.outbox.push(path, self.envelope(), message);
    }

    fn submit(&mut self, path: PathId, header: &Header, submit: FrameSubmit, now: Duration) {
        let key = FrameKey::from(header);
        let envelope = Envelope::from(header);
        let objects = match self.admit(path, header, &submit, now) {
            Ok(objects) => objects,
            Err(fault) => return self.refuse_submit(&envelope, fault),
        };
        let budget_ms = u64::from(submit.metadata.latency_budget_ms);
        let frame = ServerFrame {
            envelope,
            allowed: submit.metadata.budget_policy,
            uses_credit: true,
        };
        if self.frames.open(key, false, frame).is_err() {
            return;
        }
        self.granted.take(0);
        self.frame_id_max = self.frame_id_max.max(Some(key.frame_id));
        if self.options.enforces_budget && budget_ms > 0 {
            let deadline = now.saturating_add(Duration::from_millis(budget_ms));
            self.frames.set_deadline(key, Some(deadline));
        }
        // They may be forgotten by the cache before they are taken out here.
        let objects_bytes = objects.iter().map(|(_, object)| object.len() as u64);
        self.events.hold(objects_bytes.sum());
        self.events.push_back(ServerEvent::FrameSubmitted {
            key,
            envelope,
            submit: Box::new(submit),
            objects,
        });
    }

    /// spec: nnrp-session 5.3
    fn admit(
        &mut self,
        path: PathId,
        header: &Header,
        submit: &FrameSubmit,
        now: Duration,
    ) -> Result<Vec<(ObjectReference, Bytes)>, SubmitFault> {
        let key = FrameKey::from(header);
        if header.session_id != self.session_id() {
            return Err(SubmitFault::Foreign);
        }
        if path != self.path && u64::from(key.frame_id) >= self.resume_from {
            return Err(SubmitFault::OldPath);
        }
        match self.frames.check_open(key) {
            Err(SlotRefusal::InUse) => return Err(SubmitFault::Duplicate),
            Err(SlotRefusal::Full { .. }) => return Err(SubmitFault::TooMany),
            Ok(()) => {}
        }
        if self.state != ServerState::Active {
            return Err(SubmitFault::Draining);
        }
        let body_bytes_max = self.ack.max_body_bytes;
        if body_bytes_max != 0 && header.body_len > body_bytes_max {
            return Err(SubmitFault::TooLarge);
        }
        let kinds = PayloadKinds::from_bits_truncate(self.ack.accepted_payload_kind_bitmap);
        if !kinds.contains(submit.metadata.payload_kind_bitmap) {
            return Err(SubmitFault::UnsupportedKinds);
        }
        if self.early_cancels.take(key, now) {
            return Err(SubmitFault::CancelledEarly);
        }
        self.check_credit(header, submit, now)?;
        self.resolve(submit, now)
    }

    /// With tolerance: what was under way when the credit was reduced is not the client's fault.
    fn check_credit(
        &mut self,
        header: &Header,
        submit: &FrameSubmit,
        now: Duration,
    ) -> Result<(), SubmitFault> {
        let may_drop = may_drop(submit, header.flags);
        let ceiling = match self.granted.check(0, may_drop, now) {
            Ok(()) => return Ok(()),
            Err(NoCredit::Exhausted { .. }) => self.granted.ceiling().unwrap_or(u32::MAX),
            Err(
                NoCredit::Paused { .. }
                | NoCredit::Draining { .. }
                | NoCredit::BackgroundOnly { .. }
                | NoCredit::RetryAfter { .. },
            ) => 0,
        };
        self.counters.over_credit += 1;
        let taken_max = ceiling.saturating_add(self.options.credit_excess_max);
        if self.granted.in_flight() < taken_max {
            Ok(())
        } else {
            Err(SubmitFault::TooMany)
        }
    }

    fn resolve(
        &mut self,
        submit: &FrameSubmit,
        now: Duration,
    ) -> Result<Vec<(ObjectReference, Bytes)>, SubmitFault> {
        let SubmitBody::Composed(composed) = &submit.body else {
            return Ok(Vec::new());
        };
        if !self.options.resolves_references {
            return Ok(Vec::new());
        }
        let references = composed.body().references.iter();
        let mut resolve = |reference: &ObjectReference| {
            let object = self.cache.resolve(reference, now);
            Some((*reference, object?))
        };
        let resolved: Option<Vec<_>> = references.map(&mut resolve).collect();
        resolved.ok_or(SubmitFault::CacheMiss)
    }

    fn refuse_submit(&mut self, envelope: &Envelope, fault: SubmitFault) {
        let (code, text) = match fault {
            SubmitFault::Duplicate | SubmitFault::OldPath => {
                return self.refuse_silently(envelope, fault);
            }
            SubmitFault::Draining | SubmitFault::CancelledEarly => {
                let path = self.path_of(FrameKey::from(envelope));
                let answer = answer_envelope(envelope);
                self.outbox.push(path, answer, Message::ResultDrop);
                return self.refuse_silently(envelope, fault);
            }
            SubmitFault::Foreign => (ErrorCode::InvalidState, "another session"),
            SubmitFault::TooMany => (ErrorCode::LimitExceeded, "too many frames in flight"),
            SubmitFault::TooLarge => (ErrorCode::LimitExceeded, "the body is too large"),
            SubmitFault::UnsupportedKinds => (
                ErrorCode::UnsupportedCapability,
                "payload kinds that were not agreed on",
            ),
            SubmitFault::CacheMiss => (ErrorCode::CacheMiss, "a referenced object is not cached"),
            SubmitFault::Malformed => (ErrorCode::MalformedBody, "the submit cannot be read"),
        };
        self.refuse(envelope, fault, code, text);
    }

    fn refuse(&mut self, envelope: &Envelope, fault: SubmitFault, code: ErrorCode, text: &str) {
        self.tell_frame_error(envelope, code, text);
        self.refuse_silently(envelope, fault);
    }

    fn refuse_silently(&mut self, envelope: &Envelope, fault: SubmitFault) {
        self.counters.refused_submits += 1;
        let key = FrameKey::from(envelope);
        self.events
            .push_back(ServerEvent::FrameRefused { key, fault });
    }

    fn cancel(&mut self, key: FrameKey, envelope: &Envelope, now: Duration) {
        if self.frames.state(key).is_some() {
            return self.end_frame(key, FrameOutcome::Cancelled);
        }
        self.counters.unknown_cancels += 1;
        // It may be ahead of its submit only where they do not come by the same stream.
        if self.transport == TransportId::Tcp {
            if self.options.answers_unknown_cancels && !self.frames.is_finished(key) {
                self.tell_frame_error(envelope, ErrorCode::FrameExpired, "");
            }
        } else if !self.frames.is_finished(key) {
            let until = now.saturating_add(self.options.early_cancel_time);
            self.early_cancels
                .add(key, until, self.options.early_cancels_max);
        }
    }

    fn flow(&mut self, update: FlowUpdateMetadata, now: Duration) {
        match self.results.update(&update, now) {
            CreditUpdate::Applied => self.events.push_back(ServerEvent::Flow(update)),
            CreditUpdate::OldEpoch | CreditUpdate::TooManyOperations => {
                self.counters.ignored_updates += 1;
            }
        }
    }

    fn error(&mut self, report: &ErrorReport, now: Duration) {
        let error = PeerError::from_report(report);
        if report.metadata.is_fatal != 0 {
            return self.fail(Failure::Peer(error), now);
        }
        self.events.push_back(ServerEvent::Reported(error));
    }
}
