//! Changes of a server's files. spec: nanograph 12.6

use super::super::files::Content;
use super::super::job::{self, blocking};
use super::super::machine::Event;
use super::super::status::ServerState;
use super::Actor;
use crate::register::check;

impl Actor {
    /// Whether files have changed. spec: nanograph 12.6
    pub(super) async fn look(&mut self) {
        let Some(folder) = self.entry.path.clone() else {
            return;
        };
        // While it is installed, what it will be started from is not known yet.
        if self.machine.state() == ServerState::Installing {
            return;
        }
        let nodes = job::watched_nodes(&self.shared, &folder).await;
        let content = blocking(move || Content::read(&folder, nodes.as_deref())).await;
        let Some(content) = content.filter(|content| *content != self.seen) else {
            return;
        };
        self.seen = content;
        let is_half_done =
            self.machine.is_updating() || self.slot.status.borrow().update_error.is_some();
        if self.seen == self.used && !is_half_done {
            // Somebody took a change back.
            self.found(&[]);
            return;
        }
        if self.machine.state() == ServerState::Stopped {
            return;
        }
        let (path, registry) = (self.entry.path.clone(), self.shared.parts.registry.clone());
        let checked = blocking(move || check(&path.unwrap_or_default(), &registry)).await;
        match checked {
            Some(Ok(checked)) if checked.is_usable() => {
                self.found(&checked.findings);
                self.say(
                    "its files have changed; it is started anew once what it needs is installed",
                );
                self.event(Event::Changed).await;
            }
            Some(Ok(checked)) => {
                self.say("its nanoserver.json has changed and cannot be used; what runs goes on as it was started");
                self.found(&checked.findings);
                self.publish(self.machine.state());
            }
            Some(Err(error)) => self.say(&format!("its files cannot be read: {error}")),
            None => {}
        }
    }
}
