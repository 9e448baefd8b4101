//! A process that ended.

use super::super::job::{self, blocking};
use super::super::listening::is_others;
use super::super::machine::Event;
use super::super::ports::is_free;
use super::super::status::ServerState;
use super::Actor;
use crate::process::Exit;

/// How often in a row a server gets another port; beyond, it has failed.
const PORTS_LOST_MAX: u8 = 5;

impl Actor {
    /// The process ended, and nobody asked for it.
    pub(super) async fn exited(&mut self, exit: Exit) {
        self.exit = None;
        if self.machine.state() == ServerState::Stopping {
            return;
        }
        // Before its connection is closed here, so that whoever is lost by that is told why.
        let pool = &self.shared.parts.pool;
        pool.ended(&self.entry.server_uid, &exit.status);
        let is_for_port =
            self.machine.state() == ServerState::Starting && self.has_lost_its_port(false).await;
        if !is_for_port {
            let was_ready = self.machine.state() != ServerState::Starting;
            self.fail(ended_message(&exit, was_ready));
        }
        self.job = None;
        self.connection = None;
        self.shared.parts.pool.remove(&self.entry.server_uid);
        let client = self.slot.link().client.take();
        if let Some(client) = client {
            client.close().await;
        }
        if let Some(running) = self.running.take() {
            job::ended(&self.shared, &running.mark).await;
        }
        self.forget_process();
        let event = if is_for_port {
            Event::EndedForPort
        } else {
            Event::Exited
        };
        self.event(event).await;
    }

    /// Whether another program took its port between our look and its start: two daemons that start at the same time
    /// choose the same ports. Bounded, so that it cannot go round for ever. `answers`: somebody listens there, and the
    /// process may be the one.
    pub(super) async fn has_lost_its_port(&mut self, answers: bool) -> bool {
        let Some(process) = self.running.as_ref().map(|running| &running.process) else {
            return false;
        };
        let (port, pid) = (process.port(), process.pid());
        let is_taken = match (answers, pid) {
            (true, Some(group)) => blocking(move || is_others(port, group)).await,
            // As long as it runs, it may be what has the port.
            (false, Some(_)) => return false,
            (_, None) => blocking(move || !is_free(port)).await,
        };
        if is_taken != Some(true) || self.ports_lost >= PORTS_LOST_MAX {
            return false;
        }
        self.ports_lost += 1;
        self.say(&format!(
            "another program took port {port} while it started; trying another port"
        ));
        true
    }

    pub(super) fn forget_process(&mut self) {
        self.running = None;
        self.exit = None;
        self.slot.status.send_modify(|status| status.pid = None);
        let resources = self.shared.parts.assets.resources();
        resources.drop_server(&self.entry.server_uid);
    }
}

fn ended_message(exit: &Exit, was_ready: bool) -> String {
    if exit.success {
        // spec: nanograph N4
        return "it ended by itself, without an error; its entry point must wait after `start()` instead of returning".to_owned();
    }
    let when = if was_ready {
        ""
    } else {
        " before it was ready"
    };
    format!("it ended{when} ({})", exit.status)
}
