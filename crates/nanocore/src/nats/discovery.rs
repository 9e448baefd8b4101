//! Which instances there are, looked at again and again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::stream::{StreamExt, iter};
use nanograph::client::ConnectionState;
use nanograph::message::Handshake;
use nats_micro::client::{Client, ControlError, RequestError};
use nats_micro::document::Info;
use tokio::sync::watch;

use super::calls::Calls;
use super::offer::Offers;
use super::options::NatsOptions;

/// How long answers to one question are collected; who is slower is asked alone.
const COLLECT_MAX: Duration = Duration::from_millis(500);
const COLLECT_INTERVAL: Duration = Duration::from_millis(100);
/// How long one instance may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Instances that are asked alone at the same time.
const ASKED_AT_ONCE: usize = 32;
/// Looks at which the broker knew nobody under an instance's id; once may be a connection that is just coming back.
const ABSENCES_MAX: u32 = 2;

/// What the look-outs tell others.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) state: watch::Sender<ConnectionState>,
    pub(super) handshake: watch::Sender<Arc<Handshake>>,
    pub(super) offers: Mutex<Arc<Offers>>,
    pub(super) instances: watch::Sender<usize>,
}

/// Looks for instances.
#[derive(Debug)]
pub(super) struct Discovery {
    pub(super) client: Client,
    pub(super) service: String,
    pub(super) options: NatsOptions,
    pub(super) calls: Arc<Calls>,
    pub(super) seen: Arc<Seen>,
    known: BTreeMap<String, Instance>,
    /// Looks in a row that found none.
    failed: u32,
}

#[derive(Debug)]
struct Instance {
    info: Info,
    last_seen: Instant,
    /// Since when the broker knows nobody under its id, and at how many looks.
    absent: Option<(Instant, u32)>,
}

/// What one instance said when it was asked alone.
enum Answer {
    Here,
    Absent,
    Nothing,
}

impl Discovery {
    pub(super) fn new(
        client: Client,
        service: String,
        options: NatsOptions,
        calls: Arc<Calls>,
        seen: Arc<Seen>,
    ) -> Self {
        Self {
            client,
            service,
            options,
            calls,
            seen,
            known: BTreeMap::new(),
            failed: 0,
        }
    }

    /// Looks until this is dropped; at once when the connection is back.
    pub(super) async fn run(mut self, mut is_connected: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.options.look_period) => {}
                Ok(()) = is_connected.changed() => {}
            }
            if *is_connected.borrow_and_update() {
                self.look().await;
            } else {
                // Whom the broker knows has to be asked anew, without what was noted before.
                self.known.values_mut().for_each(|one| one.absent = None);
                self.tell_away("the connection to NATS is lost");
            }
        }
    }

    /// One look; whether there is an instance.
    pub(super) async fn look(&mut self) -> bool {
        let began = Instant::now();
        let service = self.client.service(&self.service);
        let answers = service
            .ping()
            .max_wait(COLLECT_MAX)
            .max_interval(COLLECT_INTERVAL)
            .max_count(self.options.instances_max);
        let Ok(found) = answers.await else {
            return !self.known.is_empty();
        };
        let mut new = Vec::new();
        for ping in found.documents {
            match self.known.get_mut(&ping.id) {
                Some(instance) => instance.is_here(began),
                None if !new.contains(&ping.id) => new.push(ping.id),
                None => {}
            }
        }
        self.ask_the_silent(began).await;
        let has_new = self.meet(new, began).await;
        let has_gone = self.forget_the_gone();
        self.tell(has_new, has_gone);
        !self.known.is_empty()
    }

    async fn ask_the_silent(&mut self, began: Instant) {
        let silent = self.known.iter();
        let silent: Vec<_> = silent
            .filter(|(_, instance)| instance.last_seen < began)
            .map(|(id, _)| (id.clone(), self.client.instance(&self.service, id)))
            .collect();
        let asked = silent.into_iter().map(|(id, instance)| async move {
            let answer = match instance.with_timeout(ANSWER_TIMEOUT).ping().await {
                Ok(_) => Answer::Here,
                Err(ControlError::Request(RequestError::NoResponders { .. })) => Answer::Absent,
                Err(_) => Answer::Nothing,
            };
            (id, answer)
        });
        let answers: Vec<_> = iter(asked).buffer_unordered(ASKED_AT_ONCE).collect().await;
        let now = Instant::now();
        for (id, answer) in answers {
            let Some(instance) = self.known.get_mut(&id) else {
                continue;
            };
            match answer {
                Answer::Here => instance.is_here(now),
                Answer::Absent => {
                    let (since, looks) = instance.absent.unwrap_or((now, 0));
                    instance.absent = Some((since, looks + 1));
                }
                Answer::Nothing => {}
            }
        }
    }

    /// Asks new instances what they offer; whether there are any. Who does not say is asked again at the next look.
    async fn meet(&mut self, new: Vec<String>, now: Instant) -> bool {
        let room = self.options.instances_max.saturating_sub(self.known.len());
        let asked = new.into_iter().take(room).map(|id| {
            let instance = self.client.instance(&self.service, &id);
            async move { instance.with_timeout(ANSWER_TIMEOUT).info().await.ok() }
        });
        let met: Vec<_> = iter(asked).buffer_unordered(ASKED_AT_ONCE).collect().await;
        let before = self.known.len();
        for info in met.into_iter().flatten() {
            let instance = Instance {
                last_seen: now,
                absent: None,
                info,
            };
            self.known.insert(instance.info.id.clone(), instance);
        }
        self.known.len() > before
    }

    /// Whether any has gone. What they had is lost.
    fn forget_the_gone(&mut self) -> bool {
        let mut gone = Vec::new();
        let silence_max = self.options.silence_max;
        self.known.retain(|id, instance| {
            let (by, what) = match instance.absent {
                Some((since, looks)) if looks >= ABSENCES_MAX => (since, "is gone"),
                _ if instance.last_seen.elapsed() >= silence_max => {
                    (Instant::now(), "has not answered for too long")
                }
                Some(_) | None => return true,
            };
            gone.push((id.clone(), by, what));
            false
        });
        for (id, by, what) in &gone {
            tracing::info!(service = self.service, instance = id, "an instance {what}");
            let reason = format!("instance {id} of service \"{}\" {what}", self.service);
            self.calls.lose(id, *by, &reason.into());
        }
        !gone.is_empty()
    }

    fn tell(&mut self, has_new: bool, has_gone: bool) {
        if self.known.is_empty() {
            let reason = format!("no instance of the service \"{}\" answers", self.service);
            return self.tell_away(&reason);
        }
        self.failed = 0;
        if has_new || has_gone {
            self.tell_offers(has_new);
        }
        self.seen.state.send_if_modified(|state| {
            let is_new = *state != ConnectionState::Connected;
            *state = ConnectionState::Connected;
            is_new
        });
    }

    /// A new instance may have other code: then definitions are told anew even if they are the same.
    fn tell_offers(&self, has_new: bool) {
        let offers = Offers::of(self.known.values().map(|instance| &instance.info));
        let mut current = self
            .seen
            .offers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_other = **current != offers;
        *current = Arc::new(offers);
        let definitions = current.definitions();
        drop(current);
        self.seen.instances.send_replace(self.known.len());
        if has_new || is_other {
            self.seen.handshake.send_modify(|handshake| {
                *handshake = Arc::new(Handshake {
                    node_definitions: definitions,
                    ..Handshake::clone(handshake)
                });
            });
        }
    }

    fn tell_away(&mut self, reason: &str) {
        self.failed = self.failed.saturating_add(1);
        self.seen.instances.send_replace(self.known.len());
        self.seen.state.send_replace(ConnectionState::Reconnecting {
            attempts: self.failed,
            reason: reason.into(),
        });
    }
}

impl Instance {
    fn is_here(&mut self, now: Instant) {
        self.last_seen = self.last_seen.max(now);
        self.absent = None;
    }
}
