//! Clients, the same for all services: libzmq's, or plain sockets.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::libzmq::Libzmq;
use super::subject::Subject;
use crate::process::this_program;

/// What an event's payload measures, a few bytes more or less: numbers in it vary.
pub const EVENT_BYTES: usize = 200;

const REQUEST_BYTES: usize = 200;
/// What stands in a request for its nonce.
pub(super) const NONCE: &str = "1000000000";
/// What is measured only after this.
const WARM_UP: Duration = Duration::from_millis(200);
/// How often subscribers are sent a marker until all have one.
const MARKER_INTERVAL: Duration = Duration::from_millis(50);
const MARKERS_MAX: usize = 200;
/// Longer than all events of a sample take by far.
const COUNT_TIMEOUT: Duration = Duration::from_secs(60);

/// Which clients put the load on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clients {
    /// Sockets of libzmq.
    Libzmq,
    /// Plain TCP sockets; see [`super::plain`].
    Plain,
}

impl Clients {
    /// A process of them; both programs take the same arguments.
    fn command(self, libzmq: &Libzmq, args: &[&str], core: Option<u32>) -> anyhow::Result<Command> {
        match self {
            Self::Libzmq => Ok(libzmq.command(args, core)),
            Self::Plain => {
                let args: Vec<&str> = [&["plain"], args].concat();
                this_program(&args, core)
            }
        }
    }
}

/// Clients that each ask again once they have their answer.
#[derive(Debug, Clone, Copy)]
pub struct Requests {
    /// Which.
    pub kind: Clients,
    /// How many.
    pub clients: usize,
    /// How long to measure.
    pub time: Duration,
    /// Where they run.
    pub core: Option<u32>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// Requests answered while measuring.
    pub answered: usize,
    /// Requests answered in all, before and after too.
    pub answered_in_all: usize,
    /// For how long was measured.
    pub seconds: f64,
    /// Median of the times from request to reply, in µs.
    pub p50_us: f64,
    /// The time that one in a hundred exceeds, in µs.
    pub p99_us: f64,
}

impl Requests {
    /// Puts the load on the service.
    ///
    /// # Errors
    /// A reply is wrong, or does not come.
    pub fn run(&self, libzmq: &Libzmq, subject: &Subject) -> anyhow::Result<Answered> {
        let (clients, warm_up_ms) = (self.clients.to_string(), WARM_UP.as_millis().to_string());
        let (time_ms, request) = (self.time.as_millis().to_string(), request());
        let args = [
            "request",
            &subject.command_endpoint,
            &clients,
            &warm_up_ms,
            &time_ms,
            &request,
            subject.kind.expected(),
        ];
        let mut command = self.kind.command(libzmq, &args, self.core)?;
        let output = command.stderr(Stdio::inherit()).output()?;
        ensure!(output.status.success(), "the clients failed");
        let answered: Answered = serde_json::from_slice(&output.stdout)?;
        ensure!(
            answered.answered > 0,
            "none of {} requests was answered in time: the machine is too busy",
            answered.answered_in_all
        );
        Ok(answered)
    }
}

/// Its nonce is replaced each time.
fn request() -> String {
    let request = |text: &str| {
        format!(
            r#"{{"command": 99999, "custom_command": 7, "nonce": 1000000000, "data": {{"mode": "echo", "text": "{text}"}}}}"#
        )
    };
    request(&"x".repeat(REQUEST_BYTES - request("").len()))
}

/// An event's context, so that the event's payload measures [`EVENT_BYTES`], with a space behind each separator.
pub(super) fn event_context() -> Value {
    /// Behind nine colons and seven commas.
    const SPACES: usize = 9 + 7;
    const ENVELOPE: &str = r#"{"kind":2001,"when":1735787045.678901,"index":12345,"context":}"#;
    let context = |root: &str| json!({"root": root, "deviceId": "AB-01", "day": null, "sessionId": "0195-7", "trialId": 17});
    let rest = SPACES + ENVELOPE.len() + context("").to_string().len();
    context(&"x".repeat(EVENT_BYTES - rest))
}

/// Subscribers to events.
#[derive(Debug, Clone, Copy)]
pub struct Subscribers {
    /// Which.
    pub kind: Clients,
    /// How many.
    pub subscribers: usize,
    /// What the service publishes.
    pub events: usize,
}

/// What came to the subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// By all subscribers.
    pub received: usize,
    /// Of all payloads.
    pub bytes: u64,
    /// From the first to the last.
    pub seconds: f64,
}

impl Subscribers {
    /// Has the service publish events once every subscription is in effect, and counts what comes.
    ///
    /// # Errors
    /// Nothing comes.
    pub fn run(&self, libzmq: &Libzmq, subject: &mut Subject) -> anyhow::Result<Published> {
        let (subscribers, events) = (self.subscribers.to_string(), self.events.to_string());
        let args = ["subscribe", &subject.event_endpoint, &subscribers, &events];
        let mut command = self.kind.command(libzmq, &args, None)?;
        let mut process = KilledOnDrop(command.stdout(Stdio::piped()).spawn()?);
        let lines = lines(&mut process.0)?;
        wait_until_joined(subject, &lines)?;
        subject.publish_events(self.events)?;
        let counted = lines.recv_timeout(COUNT_TIMEOUT);
        let published: Published = serde_json::from_str(&counted.context("the count is missing")?)?;
        ensure!(published.received > 1, "no event came");
        // So that its processor time is known.
        process.0.wait()?;
        Ok(published)
    }
}

fn wait_until_joined(subject: &mut Subject, lines: &mpsc::Receiver<String>) -> anyhow::Result<()> {
    for _ in 0..MARKERS_MAX {
        subject.publish_marker()?;
        match lines.recv_timeout(MARKER_INTERVAL) {
            Ok(line) => {
                ensure!(line == "ready", "the subscribers say {line:?}");
                return Ok(());
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => bail!("the subscribers ended"),
        }
    }
    bail!("no message of the service reaches the subscribers")
}

/// What a process prints, read on a thread of its own.
fn lines(process: &mut Child) -> anyhow::Result<mpsc::Receiver<String>> {
    let output = process.stdout.take().context("its output is piped")?;
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        // Ends when nobody receives any more.
        for line in lines {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Heartbeats as they came.
#[derive(Debug, Clone, PartialEq)]
pub struct Beats {
    came_at_ns: Vec<u64>,
    interval: Duration,
}

impl Beats {
    /// Starts to watch a service's heartbeats; what is returned waits for the last.
    ///
    /// # Errors
    /// The client does not start.
    pub fn watch(
        libzmq: &Libzmq,
        subject: &Subject,
        beats: usize,
        interval: Duration,
    ) -> anyhow::Result<impl FnOnce() -> anyhow::Result<Self> + use<>> {
        let beats = beats.to_string();
        let args = ["watch", &subject.event_endpoint, &beats];
        let process = libzmq.command(&args, None).stdout(Stdio::piped()).spawn()?;
        Ok(move || {
            let output = process.wait_with_output()?;
            ensure!(output.status.success(), "heartbeats are missing");
            let came_at_ns = serde_json::from_slice(&output.stdout)?;
            Ok(Self {
                came_at_ns,
                interval,
            })
        })
    }

    /// How much longer or shorter than the interval a beat takes, in µs: the slope of a line through all.
    #[must_use]
    pub fn drift_us(&self) -> f64 {
        let late = self.late_us();
        let mean_place = (late.len() as f64 - 1.0) / 2.0;
        let mean_late = late.iter().sum::<f64>() / late.len() as f64;
        let places = || (0..late.len()).map(|place| place as f64 - mean_place);
        let along: f64 = places().zip(&late).map(|(x, y)| x * (y - mean_late)).sum();
        (along / places().map(|x| x * x).sum::<f64>()).abs()
    }

    /// How far from its slot a beat comes, in µs, of 99 in a hundred; the middle beat is in its slot.
    #[must_use]
    pub fn jitter_us(&self) -> f64 {
        let late = self.late_us();
        let middle = crate::report::median(&late).unwrap_or(0.0);
        let mut off: Vec<f64> = late.iter().map(|late| (late - middle).abs()).collect();
        off.sort_by(f64::total_cmp);
        let rank = (off.len() * 99).div_ceil(100);
        off.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
    }

    /// How much later than whole intervals after the first each came, in µs.
    fn late_us(&self) -> Vec<f64> {
        let first = self.came_at_ns.first().copied().unwrap_or(0);
        let interval_us = self.interval.as_secs_f64() * 1e6;
        let late = |(place, came_at_ns): (usize, &u64)| {
            (came_at_ns - first) as f64 / 1e3 - place as f64 * interval_us
        };
        self.came_at_ns.iter().enumerate().map(late).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beats(came_at_ms: &[u64]) -> Beats {
        Beats {
            came_at_ns: came_at_ms.iter().map(|ms| ms * 1_000_000).collect(),
            interval: Duration::from_millis(100),
        }
    }

    #[test]
    fn beats_that_are_each_late_drift() {
        let drifting = beats(&[7, 108, 209, 310, 411]);
        assert!((drifting.drift_us() - 1000.0).abs() < 1e-6);
        assert!((drifting.jitter_us() - 2000.0).abs() < 1e-6);
    }

    #[test]
    fn beats_that_are_late_now_and_then_do_not_drift() {
        let late = beats(&[7, 107, 209, 307, 407]);
        assert!(late.drift_us().abs() < 1e-6);
        assert!((late.jitter_us() - 2000.0).abs() < 1e-6);
    }

    #[test]
    fn requests_and_events_measure_what_they_should() {
        assert_eq!(request().len(), REQUEST_BYTES);
        let event = json!({
            "kind": 2001,
            "when": 1_735_787_045.678_901,
            "index": 12345,
            "context": event_context(),
        });
        // This text has no spaces.
        let text = event.to_string();
        let spaces = text.matches([':', ',']).count();
        assert_eq!(text.len() + spaces, EVENT_BYTES);
    }
}
