//! The one clock of a broker: pings, and clients that are late.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use super::client::Client;
use super::shared::Shared;
use crate::protocol::server_op::{PING, err};
use crate::stats::CloseReason;

const TICK_MIN: Duration = Duration::from_millis(5);
const TICK_MAX: Duration = Duration::from_millis(500);

pub(crate) async fn keep_until_stopped(shared: Arc<Shared>) {
    let limits = &shared.limits;
    let shortest = limits.ping_interval.min(limits.connect_timeout);
    let shortest = shortest.min(limits.write_timeout);
    let mut ticks = tokio::time::interval((shortest / 4).clamp(TICK_MIN, TICK_MAX));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shared.stopped.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let now = Instant::now();
        for client in shared.clients.all() {
            check(&shared, &client, now);
        }
    }
}

fn check(shared: &Shared, client: &Arc<Client>, now: Instant) {
    let limits = &shared.limits;
    let age = now.saturating_duration_since(client.opened_at);
    let blocked_since = client.outbox().blocked_since();
    if blocked_since
        .is_some_and(|since| now.saturating_duration_since(since) > limits.write_timeout)
    {
        client.close(CloseReason::SlowConsumer, None);
        return;
    }
    if !client.admitted.load(Relaxed) && shared.auth.is_required() {
        if age > limits.connect_timeout {
            let farewell = err("Authentication Timeout");
            client.close(CloseReason::ConnectTimeout, Some(&farewell));
        }
        return;
    }
    let due = limits
        .ping_interval
        .saturating_mul(client.pings_sent.load(Relaxed) + 1);
    if age >= due {
        ping(client, limits.pings_unanswered_max);
    }
}

fn ping(client: &Arc<Client>, unanswered_max: u32) {
    if client.pings_unanswered.load(Relaxed) >= unanswered_max {
        client.close(CloseReason::Stale, Some(&err("Stale Connection")));
        return;
    }
    client.pings_unanswered.fetch_add(1, Relaxed);
    client.pings_sent.fetch_add(1, Relaxed);
    client.push(PING);
    client.flush();
}
