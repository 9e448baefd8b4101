//! Following a run on the daemon, through breaks of the connection.

use std::time::Duration;

use nanocore::workflow::RunStatus;
use nanograph::message::Status;
use nodewire_json::Json;
use serde_json::Value;
use tokio::time::sleep;

use super::args::DaemonArgs;
use super::client::{Daemon, part};
use super::events::Events;
use crate::failure::Failure;
use crate::progress::{Mark, Progress, seconds};
use crate::signals::Signals;
use crate::terminal;

/// How often a broken connection is opened again before it is given up, and how long between.
const RETRIES_MAX: u32 = 60;
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// A run that is looked at.
#[derive(Debug)]
pub(super) struct Following<'a> {
    daemon: Daemon,
    /// How the daemon is found again: started anew, it may have another address.
    at: &'a DaemonArgs,
    run_id: &'a str,
    /// The number of the last event seen, and what it is of: numbers begin again with each start of the daemon.
    since: u64,
    epoch: Option<String>,
    /// Breaks in a row.
    breaks: u32,
}

/// Why no more events come.
enum Ended {
    /// The run is over.
    Finished,
    /// The stream is.
    Broken(Failure),
}

impl<'a> Following<'a> {
    pub(super) const fn new(daemon: Daemon, at: &'a DaemonArgs, run_id: &'a str) -> Self {
        Self {
            daemon,
            at,
            run_id,
            since: 0,
            epoch: None,
            breaks: 0,
        }
    }

    /// Shows what happens until the run is over. The first signal aborts it, as does the end of the time allowed, which
    /// is told.
    pub(super) async fn until_over(
        &mut self,
        progress: &mut Progress,
        signals: &Signals,
        timeout: Option<Duration>,
    ) -> Result<bool, Failure> {
        let deadline = timeout.map(|timeout| tokio::time::Instant::now() + timeout);
        let (mut is_stopping, mut is_timed_out) = (false, false);
        loop {
            let followed = {
                let mut following = std::pin::pin!(self.stream(progress));
                tokio::select! {
                    followed = &mut following => Some(followed),
                    () = signals.stop.cancelled(), if !is_stopping => None,
                    () = until(deadline), if !is_stopping && !is_timed_out => {
                        is_timed_out = true;
                        None
                    }
                }
            };
            match followed {
                Some(Ended::Finished) => return Ok(is_timed_out),
                Some(Ended::Broken(failure)) => self.pause(failure).await?,
                None => {
                    is_stopping = signals.stop.is_cancelled();
                    if is_stopping {
                        progress.note("stopping the run; press Ctrl-C again to leave at once");
                    }
                    let path = format!("/runs/{}/abort", part(self.run_id));
                    self.daemon.post(&path, None).await?;
                }
            }
        }
    }

    /// The daemon, where it was last.
    pub(super) fn into_daemon(self) -> Daemon {
        self.daemon
    }

    /// Waits before the next try, unless there were enough.
    async fn pause(&mut self, failure: Failure) -> Result<(), Failure> {
        self.breaks += 1;
        if self.breaks > RETRIES_MAX {
            let more = format!(
                "the run {} was submitted; see `nodewire runs show`: ",
                self.run_id
            );
            return Err(failure.prefixed(&more));
        }
        sleep(RETRY_PAUSE).await;
        if let Ok(daemon) = Daemon::find(self.at) {
            self.daemon = daemon;
        }
        Ok(())
    }

    async fn stream(&mut self, progress: &mut Progress) -> Ended {
        match self.events(progress).await {
            Ok(()) => Ended::Finished,
            Err(failure) => Ended::Broken(failure),
        }
    }

    async fn events(&mut self, progress: &mut Progress) -> Result<(), Failure> {
        let mut path = format!("/runs/{}/events?since={}", part(self.run_id), self.since);
        if let Some(epoch) = &self.epoch {
            path.push_str(&format!("&epoch={}", part(epoch)));
        }
        let mut events = Events::new(self.daemon.stream(&path).await?);
        while let Some(text) = events.next().await? {
            self.breaks = 0;
            let event: Value = super::client::parse(&text)?;
            let seq = event["seq"].as_u64().unwrap_or(self.since);
            match event["type"].as_str().unwrap_or_default() {
                // Its number is that of the newest event, not of one that was seen.
                "hello" => {
                    self.epoch = event["epoch"].as_str().map(str::to_owned);
                    continue;
                }
                "too_slow" => continue,
                // Events are missing, the last one perhaps among them.
                "reset" if self.is_over().await? => return Ok(()),
                "reset" => {}
                "run_finished" => {
                    show(progress, &event, &text);
                    return Ok(());
                }
                _ => show(progress, &event, &text),
            }
            self.since = seq;
        }
        if self.is_over().await? {
            return Ok(());
        }
        Err(Failure::servers("the daemon ended the stream of events"))
    }

    async fn is_over(&self) -> Result<bool, Failure> {
        let run: Value = self
            .daemon
            .read(&format!("/runs/{}", part(self.run_id)))
            .await?;
        Ok(is_terminal(run["status"].as_str().unwrap_or_default()))
    }
}

async fn until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Whether a run in this state stays so.
pub(super) fn is_terminal(status: &str) -> bool {
    matches!(status, "complete" | "error" | "aborted" | "interrupted")
}

/// Shows an event as that of a run of our own.
fn show(progress: &mut Progress, event: &Value, text: &str) {
    if progress.is_json() {
        return terminal::json(text);
    }
    let name = event["nodeId"]
        .as_u64()
        .and_then(|id| progress.name(id))
        .map(str::to_owned);
    let name = name.unwrap_or_default();
    match event["type"].as_str().unwrap_or_default() {
        "run_queued" => match event["position"].as_u64() {
            Some(position) if position > 0 => {
                progress.note(&format!("waiting behind {position} other runs"));
            }
            _ => {}
        },
        "run_waiting" => {
            let missing = super::show::list(event, "missing");
            let uids: Vec<_> = missing
                .iter()
                .filter_map(|node| node["uid"].as_str())
                .collect();
            progress.note(&format!(
                "waiting for node servers with {}",
                uids.join(", ")
            ));
        }
        "run_held" => {
            let why = event["reason"].as_str().unwrap_or_default();
            progress.note(&format!(
                "the run cannot begin yet: {}",
                terminal::plain(why)
            ));
        }
        "node_state" => state(progress, &name, event),
        "node_status" => {
            progress.status(
                &name,
                &Status::from_json(Json::from(event["status"].clone())),
            );
        }
        "node_complete" if event["cached"] == true => {
            progress.show(&name, Mark::Done, None, "unchanged, taken from the cache");
        }
        "node_complete" => {
            let text = format!("done in {}", seconds(milliseconds(event)));
            progress.show(&name, Mark::Done, None, &text);
        }
        "node_error" => {
            let message = event["message"].as_str().unwrap_or_default();
            let text = format!("{}: {message}", event["code"].as_str().unwrap_or_default());
            let again = event["willRetryAt"].as_str();
            match again {
                Some(_) => {
                    progress.show(&name, Mark::Going, None, &format!("{text}; trying again"))
                }
                None => progress.show(&name, Mark::Failed, None, &text),
            }
        }
        "run_finished" => {
            let status = match event["status"].as_str() {
                Some("complete") => RunStatus::Complete,
                Some("aborted") => RunStatus::Aborted,
                _ => RunStatus::Error,
            };
            progress.finished(status, milliseconds(event));
            if let Some(why) = event["notKept"].as_str() {
                progress.note(&super::runs::not_kept(why));
            }
        }
        _ => {}
    }
}

fn state(progress: &mut Progress, name: &str, event: &Value) {
    match event["state"].as_str().unwrap_or_default() {
        "skipped" => {
            let cause = event["cause"]
                .as_u64()
                .and_then(|cause| progress.name(cause));
            let text = match cause {
                Some(cause) => format!("skipped because of {cause}"),
                None => "skipped".to_owned(),
            };
            progress.show(name, Mark::Skipped, None, &text);
        }
        "aborted" => progress.show(name, Mark::Skipped, None, "stopped"),
        "dispatched" => progress.show(name, Mark::Going, None, "started"),
        _ => {}
    }
}

fn milliseconds(event: &Value) -> Duration {
    Duration::from_millis(event["durationMs"].as_u64().unwrap_or_default())
}
