//! From an installation to a server that is connected.

use std::sync::Arc;

use super::super::files::Content;
use super::super::job::{self, InstallFailure, Prepared, Running, StartFailure};
use super::super::machine::Event;
use super::super::remote::Remote;
use super::{Actor, Done};
use crate::process::Exit;

impl Actor {
    pub(super) async fn done(&mut self, done: Done) {
        match done {
            Done::Installed(content, result) => {
                self.seen.clone_from(&content);
                self.used = content;
                self.installed(*result).await;
            }
            Done::Updated(result) => self.updated(*result).await,
            Done::Connected(Ok(client)) => {
                self.ports_lost = 0;
                self.connected(client);
                self.event(Event::Ready).await;
                if self.machine.failures_in_row() == 0 {
                    self.slot
                        .status
                        .send_modify(|status| status.last_error = None);
                }
                self.note_listening().await;
            }
            Done::Connected(Err(failure)) => self.start_failed(failure).await,
            Done::Stopped => {
                self.forget_process();
                self.event(Event::Stopped).await;
            }
        }
    }

    async fn start_failed(&mut self, failure: StartFailure) {
        // Whose process has ended has nothing to stop: that end is what there is to tell.
        if matches!(failure, StartFailure::Failed(_))
            && let Some(exit) = self.has_ended()
        {
            return self.exited(exit.await).await;
        }
        let (message, event) = match failure {
            StartFailure::Foreign(message) => (message, Event::Unusable),
            StartFailure::Failed(message) => (message, Event::StartFailed),
        };
        if self.has_lost_its_port(event == Event::Unusable).await {
            return self.event(Event::PortTaken).await;
        }
        self.fail(message);
        self.event(event).await;
    }

    /// How its process ended, if it has.
    fn has_ended(&self) -> Option<impl Future<Output = Exit> + use<>> {
        let process = &self.running.as_ref()?.process;
        let process = process.pid().is_none().then(|| Arc::clone(process))?;
        Some(async move { process.exited().await })
    }

    pub(super) fn install(
        &self,
    ) -> impl Future<Output = (Content, Result<Prepared, InstallFailure>)> + use<> {
        job::install(
            Arc::clone(&self.shared),
            self.entry.clone(),
            self.slot.log.clone(),
        )
    }

    /// What was installed beside the process; that is stopped only if it worked.
    async fn updated(&mut self, result: Result<Prepared, InstallFailure>) {
        let message = match result {
            Ok(_) => {
                self.set_update_error(None);
                return self.event(Event::Installed).await;
            }
            Err(InstallFailure::Unusable(message, findings)) => {
                self.found(&findings);
                message
            }
            Err(InstallFailure::Failed(message)) => message,
        };
        let message = format!(
            "what has changed could not be installed; it runs on as it was started, until the files change or it is restarted: {message}"
        );
        self.say(&message);
        self.set_update_error(Some(message));
        self.event(Event::InstallFailed).await;
        self.publish(self.machine.state());
    }

    pub(super) async fn installed(&mut self, result: Result<Prepared, InstallFailure>) {
        match result {
            Ok(prepared) => {
                self.found(&prepared.findings);
                let sdk = prepared.sdk.as_ref();
                self.slot.status.send_modify(|status| {
                    if let Some(sdk) = sdk {
                        status.sdk_version = Some(sdk.version.clone());
                        status.asset_refs = Some(sdk.asset_refs.as_str());
                    }
                });
                self.sdk_refs = prepared.sdk.as_ref().map(|sdk| sdk.asset_refs);
                self.code_epoch.clone_from(&prepared.code_epoch);
                self.code.clone_from(&prepared.code);
                self.prepared = Some(prepared);
                self.set_update_error(None);
                self.event(Event::Installed).await;
            }
            Err(InstallFailure::Unusable(message, findings)) => {
                self.found(&findings);
                self.fail(message);
                self.event(Event::Unusable).await;
            }
            Err(InstallFailure::Failed(message)) => {
                self.fail(message);
                self.event(Event::InstallFailed).await;
            }
        }
    }

    pub(super) async fn spawn(&mut self) -> Option<Event> {
        let prepared = self.prepared.take()?;
        let mut notes = Vec::new();
        let spawned = job::spawn(
            &self.shared,
            &self.entry,
            &prepared,
            &self.slot.log,
            &mut notes,
        );
        let spawned = spawned.await;
        for note in &notes {
            self.say(note);
        }
        self.slot.status.send_modify(|status| {
            status.starts += 1;
            status.notes = notes;
        });
        match spawned {
            Ok(running) => {
                self.started(running);
                let auto_watch = prepared.config.is_none_or(|config| config.auto_watch);
                self.connect(auto_watch);
                None
            }
            Err(message) => {
                self.fail(message);
                Some(Event::StartFailed)
            }
        }
    }

    fn connect(&mut self, auto_watch: bool) {
        let (shared, entry) = (Arc::clone(&self.shared), self.entry.clone());
        if let Some(nats) = entry.nats.clone() {
            let work = job::find(shared, entry, nats, self.machine.failures_in_row() == 0);
            self.job = Some(Box::pin(async {
                Done::Connected(work.await.map(Remote::Nats))
            }));
            return;
        }
        let work = job::connect(shared, entry, self.running.clone(), auto_watch);
        self.job = Some(Box::pin(async {
            Done::Connected(work.await.map(Remote::Nanograph))
        }));
    }

    pub(super) fn started(&mut self, running: Option<Running>) {
        if let Some(Running { process, .. }) = &running {
            self.slot.status.send_modify(|status| {
                status.pid = process.pid();
                status.port = Some(process.port());
                status.url = Some(process.url());
            });
            self.entry.port = Some(process.port());
            let process = Arc::clone(process);
            self.exit = Some(Box::pin(async move { process.exited().await }));
        }
        self.running = running;
    }
}
