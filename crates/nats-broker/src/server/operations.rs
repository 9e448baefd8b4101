//! What each operation does. spec: nats-micro 15.4

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::client::Subscription;
use super::delivery::Route;
use super::reader::{Close, Reader};
use crate::protocol::server_op::{self, err};
use crate::protocol::{ClientOp, DecodeError, Publish, Subscribe, subject};
use crate::stats::CloseReason;

impl Reader {
    /// Everything that was read, in turns. Stops when the client is closed meanwhile.
    pub(super) async fn process(&mut self) -> Result<(), Close> {
        let mut next = self.next_op()?;
        while let Some(op) = next {
            if self.awaits_credentials() && !matches!(op, ClientOp::Connect(_)) {
                return Err(Close::authorization());
            }
            next = if let ClientOp::Publish(publish) = op {
                let next = self.publish_all(publish);
                self.remove_ended();
                next?
            } else {
                self.operation(op)?;
                self.next_op()?
            };
            if self.delivery.turn_is_over() {
                self.pause().await;
                if self.client.closed.is_cancelled() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn next_op(&mut self) -> Result<Option<ClientOp>, Close> {
        let next = self.decoder.next_op();
        if self.decoder.take_invalid_subject() && !self.awaits_credentials() {
            self.shared.counters.invalid_publish_subjects.add(1);
            if self.options.pedantic {
                self.say(&err("Invalid Publish Subject"));
            }
        }
        next.map_err(|error| self.refuse(error))
    }

    fn awaits_credentials(&self) -> bool {
        self.shared.auth.is_required() && !self.client.admitted.load(Relaxed)
    }

    /// Before its credentials, a client is only told that it needs them. [obs 2.9.10]
    fn refuse(&self, error: DecodeError) -> Close {
        if self.awaits_credentials() && error != DecodeError::ControlLine {
            return Close::authorization();
        }
        Close::from(error)
    }

    fn operation(&mut self, op: ClientOp) -> Result<(), Close> {
        match op {
            ClientOp::Connect(json) => self.connect(&json)?,
            ClientOp::Ping => self.say(server_op::PONG),
            ClientOp::Pong => self.client.pings_unanswered.store(0, Relaxed),
            ClientOp::Subscribe(subscribe) => self.subscribe(&subscribe),
            ClientOp::Unsubscribe { sid, max } => self.unsubscribe(&sid, max),
            ClientOp::Publish(_) | ClientOp::Ignored => {}
        }
        Ok(())
    }

    fn say(&mut self, bytes: &[u8]) {
        let pushed = self.client.push(bytes);
        self.delivery.note(&self.client, pushed);
    }

    fn say_ok(&mut self) {
        if self.options.verbose {
            self.say(server_op::OK);
        }
    }

    fn connect(&mut self, json: &[u8]) -> Result<(), Close> {
        let mut options = self.options.clone();
        options
            .update(json)
            .map_err(|_| Close::silent(CloseReason::Protocol))?;
        if !self.shared.auth.admits(&options) {
            return Err(Close::authorization());
        }
        if !(0..=1).contains(&options.protocol) {
            return Err(Close::saying(
                CloseReason::Protocol,
                "invalid client protocol",
            ));
        }
        if options.no_responders && !options.headers {
            let text = "no responders requires headers support";
            return Err(Close::saying(CloseReason::HeadersRequired, text));
        }
        self.decoder.accept_headers(options.headers);
        self.client.headers.store(options.headers, Relaxed);
        self.client.takes_info.store(options.protocol >= 1, Relaxed);
        self.client.admitted.store(true, Relaxed);
        self.options = options;
        self.say_ok();
        Ok(())
    }

    fn subscribe(&mut self, subscribe: &Subscribe) {
        let Subscribe {
            subject,
            queue,
            sid,
        } = subscribe;
        let mut subscriptions = self.client.subscriptions();
        // A sid in use: the line is ignored. [obs 2.9.10]
        if subscriptions
            .get(&sid[..])
            .is_none_or(|one| one.turns.have_ended())
        {
            if !subject::can_subscribe(subject) {
                drop(subscriptions);
                self.shared.counters.invalid_subscribe_subjects.add(1);
                self.say(&err("Invalid Subject"));
                return;
            }
            if subscriptions.len() >= self.shared.limits.subscriptions_max {
                drop(subscriptions);
                self.shared.counters.subscriptions_refused.add(1);
                self.say(&err("maximum subscriptions exceeded"));
                return;
            }
            let subscription = Subscription::new(&self.client, subject, queue.as_deref(), sid);
            subscriptions.insert(sid[..].into(), Arc::clone(&subscription));
            self.shared.subscribe(&subscription);
        }
        drop(subscriptions);
        self.say_ok();
    }

    fn unsubscribe(&mut self, sid: &[u8], max: Option<u64>) {
        let mut subscriptions = self.client.subscriptions();
        let found = subscriptions.get(sid);
        let ended = found
            .filter(|one| max.is_none_or(|max| one.turns.end_after(max)))
            .cloned();
        if let Some(subscription) = ended {
            subscriptions.remove(sid);
            self.shared.unsubscribe(&[subscription]);
        }
        drop(subscriptions);
        self.say_ok();
    }

    /// This publication and those that follow it directly in this turn, while the table is held; what comes then.
    fn publish_all(&mut self, first: Publish) -> Result<Option<ClientOp>, Close> {
        let shared = Arc::clone(&self.shared);
        let table = shared.table();
        let mut route = Route::new(&shared, &table);
        let mut publish = first;
        loop {
            self.publish(&mut route, &publish);
            match self.next_op()? {
                Some(ClientOp::Publish(next)) if !self.delivery.turn_is_over() => publish = next,
                other => return Ok(other),
            }
        }
    }

    fn publish(&mut self, route: &mut Route<'_>, publish: &Publish) {
        self.messages_in += 1;
        self.say_ok();
        let except = (!self.options.echo).then_some(self.client.id);
        // A pattern is delivered as if it were a subject, also where the publisher is told that it is none. [obs 2.9.10]
        let routed = publish.has_valid_subject() || !subject::has_empty_token(publish.subject());
        let delivered = routed && self.delivery.deliver(route, publish, except);
        if let Some(reply) = publish.reply().filter(|_| !delivered) {
            self.nobody_got_it(route, publish.subject(), reply);
        }
    }

    fn note_jetstream(&self, subject: &[u8]) {
        let subject = String::from_utf8_lossy(subject);
        // Once is enough: clients ask again and again.
        if self.shared.counters.jetstream_requests.add(1) == 0 {
            tracing::warn!(
                ?subject,
                "this broker has no JetStream: use nats-server for it"
            );
        } else {
            tracing::debug!(?subject, "this broker has no JetStream");
        }
    }

    fn nobody_got_it(&mut self, route: &mut Route<'_>, subject: &[u8], reply: &[u8]) {
        let jetstream = subject.starts_with(server_op::JETSTREAM_API);
        if jetstream {
            self.note_jetstream(subject);
        }
        if !self.options.no_responders {
            return;
        }
        if subject::has_empty_token(reply) {
            return;
        }
        let Some(own) = self.delivery.own(route, reply, &self.client) else {
            return;
        };
        self.shared.counters.no_responders.add(1);
        let block = if jetstream {
            server_op::NO_JETSTREAM
        } else {
            server_op::NO_RESPONDERS
        };
        // Not counted towards the subscription's maximum. [obs 2.9.10]
        let mut status = Vec::new();
        server_op::write_status(&mut status, reply, &own.sid, block);
        self.say(&status);
    }
}

impl Close {
    fn silent(reason: CloseReason) -> Self {
        Self {
            reason,
            error: None,
        }
    }

    fn saying(reason: CloseReason, error: &'static str) -> Self {
        Self {
            reason,
            error: Some(error),
        }
    }

    fn authorization() -> Self {
        Self::saying(CloseReason::Authorization, "Authorization Violation")
    }
}

impl From<DecodeError> for Close {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::UnknownOperation => {
                Self::saying(CloseReason::Protocol, "Unknown Protocol Operation")
            }
            DecodeError::ControlLine => {
                Self::saying(CloseReason::ControlLine, "maximum control line exceeded")
            }
            DecodeError::Payload => Self::saying(CloseReason::Payload, "Maximum Payload Violation"),
            DecodeError::HeadersRequired => Self::silent(CloseReason::HeadersRequired),
            DecodeError::Arguments | DecodeError::PeerError => Self::silent(CloseReason::Protocol),
        }
    }
}
