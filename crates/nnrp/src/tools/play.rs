//! A recorded session that is played again: one side's packets are sent as they were, and what the other side says is
//! compared with what it said then.

mod expected;
mod report;

use std::time::Duration;

use nnrp_wire::session::PathEnd;
use nnrp_wire::{Message, MessageType, Packet};
use tokio::time::{Instant, sleep_until};

use self::expected::Expected;
pub use self::report::{Difference, DifferenceKind, PlayReport};
use super::raw::RawLink;
use super::relay::Side;
use crate::driver::later;

/// A packet that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When, since the recording began.
    pub at: Duration,
    /// Who sent it.
    pub from: Side,
    /// What.
    pub packet: Packet,
}

/// How exactly answers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compare {
    /// Their type, frame and view.
    #[default]
    Frames,
    /// Also flags, route, trace, and the body byte by byte; but not the body of the hello's answer, where a server may put
    /// something new each time. Metadata is not compared: it says how long something took.
    Bytes,
}

/// How a recording is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlayOptions {
    /// Whose packets are sent.
    pub side: Side,
    /// Whether packets are sent no earlier than they were then, each counted from the first; `Some(1.0)` is as fast as
    /// then, `Some(2.0)` twice as fast, `None` as soon as the answers are here that were there by then.
    pub pace: Option<Pace>,
    /// How long is waited for an answer that was there then; 10 s.
    pub patience: Duration,
    /// How exactly answers are compared.
    pub compare: Compare,
    /// Whether the recording ends before the connection did; no. What comes beyond it is no difference then, as it may have
    /// come later at that time: it is counted as [`PlayReport::beyond`].
    pub ends_early: bool,
}

impl Default for PlayOptions {
    fn default() -> Self {
        Self {
            side: Side::Client,
            pace: None,
            patience: Duration::from_secs(10),
            compare: Compare::Frames,
            ends_early: false,
        }
    }
}

/// How many times faster than it was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace(f64);

impl Eq for Pace {}

impl Pace {
    /// As fast as it was.
    pub const ORIGINAL: Self = Self(1.0);

    /// So many times as fast; `None` unless it is more than 0 and finite.
    #[must_use]
    pub fn new(times: f64) -> Option<Self> {
        (times.is_finite() && times > 0.0).then_some(Self(times))
    }

    fn scaled(self, time: Duration) -> Duration {
        Duration::try_from_secs_f64(time.as_secs_f64() / self.0).unwrap_or(Duration::MAX)
    }
}

/// Which sessions and proofs of the recording are which now. Connections of one session share it.
#[derive(Debug, Clone, Default)]
pub struct SessionIds {
    known: Vec<(u32, u32)>,
}

/// Sessions that a recording may have.
const SESSIONS_MAX: usize = 4096;

impl SessionIds {
    /// What a session of the recording is now; itself, if that is not known.
    #[must_use]
    pub fn now(&self, recorded: u32) -> u32 {
        let known = self.known.iter().find(|(then, _)| *then == recorded);
        known.map_or(recorded, |(_, now)| *now)
    }

    fn learn(&mut self, then: &Packet, now: &Packet) {
        if let (Some(then), Some(now)) = (acknowledged_session(then), acknowledged_session(now)) {
            self.known.retain(|(known, _)| *known != then);
            if self.known.len() < SESSIONS_MAX {
                self.known.push((then, now));
            }
        }
    }
}

/// The session id that a hello's answer gives.
fn acknowledged_session(packet: &Packet) -> Option<u32> {
    match Message::decode(packet, &nnrp_wire::DecodeOptions::COMPATIBLE) {
        Ok(Message::ServerHelloAck(ack)) => Some(ack.metadata.session_id),
        Ok(_) | Err(_) => None,
    }
}

/// Plays one connection of a recording over a link, to the end. It waits for each answer that was there when a packet was
/// sent, then sends that. PINGs are answered as they come, and advice (FLOW_UPDATE, RESULT_HINT, PING) is neither waited for
/// nor compared, as it depends on time.
///
/// What the other side says is read all the time, and only compared: memory does not grow with it. If it is dropped, the
/// link is closed as it is.
pub async fn play(
    link: RawLink,
    steps: &[Step],
    ids: &mut SessionIds,
    options: PlayOptions,
) -> PlayReport {
    let player = Player {
        expected: Expected::new(steps, options.side),
        report: PlayReport::default(),
        link,
        steps,
        ids,
        options,
        began: Instant::now(),
        is_open: true,
    };
    player.run().await
}

struct Player<'p> {
    link: RawLink,
    steps: &'p [Step],
    ids: &'p mut SessionIds,
    options: PlayOptions,
    began: Instant,
    expected: Expected,
    report: PlayReport,
    is_open: bool,
}

/// How long the other side may take to end.
const CLOSE: Duration = Duration::from_secs(1);

impl Player<'_> {
    async fn run(mut self) -> PlayReport {
        let first = self.steps.first().map_or(Duration::ZERO, |step| step.at);
        for (number, step) in self.steps.iter().enumerate() {
            // PONGs answer the PINGs of now.
            if step.from != self.options.side
                || step.packet.header().message_type == MessageType::Pong
            {
                continue;
            }
            self.wait_for_answers(number).await;
            if let Some(pace) = self.options.pace {
                let at = later(self.began, pace.scaled(step.at.saturating_sub(first)));
                self.listen_until(at, |_| false).await;
            }
            if !self.is_open {
                self.report.not_sent += 1;
                continue;
            }
            self.send(&step.packet).await;
        }
        self.wait_for_answers(self.steps.len()).await;
        self.report.missing(self.expected.missing(self.steps));
        self.link.close(CLOSE).await;
        self.report
    }

    /// Until all answers are here that were there before this step, or patience is over.
    async fn wait_for_answers(&mut self, before: usize) {
        let patience = later(Instant::now(), self.options.patience);
        self.listen_until(patience, |expected| expected.is_met_until(before))
            .await;
        self.expected.give_up_until(before);
    }

    /// Takes in what comes until then, or until something is so, or the other side has ended.
    async fn listen_until(
        &mut self,
        at: Instant,
        mut is_enough: impl FnMut(&mut Expected) -> bool,
    ) {
        while self.is_open && !is_enough(&mut self.expected) {
            tokio::select! {
                biased;
                packet = self.link.exchange() => match packet {
                    Ok(packet) => self.receive(&packet),
                    Err(end) => self.ended(end),
                },
                () = sleep_until(at) => return,
            }
        }
    }

    fn ended(&mut self, end: PathEnd) {
        self.is_open = false;
        self.report.end = Some(end);
    }

    /// Reads on while it writes, so that two full sides cannot block each other.
    async fn send(&mut self, packet: &Packet) {
        let packet = self.as_now(packet);
        self.link.writer().queue(&packet);
        self.report.sent += 1;
        while self.is_open && !self.link.writer().has_room() {
            match self.link.exchange().await {
                Ok(packet) => self.receive(&packet),
                Err(end) => self.ended(end),
            }
        }
    }

    /// As it has to be for the session of now.
    fn as_now(&self, packet: &Packet) -> Packet {
        let mut header = *packet.header();
        header.session_id = self.ids.now(header.session_id);
        if let Some((frame_id, view_id)) = self.expected.frame_now(&header) {
            (header.frame_id, header.view_id) = (frame_id, view_id);
        }
        let changed = Packet::new(header, packet.metadata().clone(), packet.body().clone());
        // Its lengths are those that it had.
        changed.unwrap_or_else(|_| packet.clone())
    }

    fn receive(&mut self, packet: &Packet) {
        self.report.received += 1;
        let header = packet.header();
        if header.message_type == MessageType::Ping {
            let pong = nnrp_wire::Header {
                message_type: MessageType::Pong,
                ..*header
            };
            if let Ok(pong) = Packet::new(pong, bytes::Bytes::new(), bytes::Bytes::new()) {
                self.link.writer().queue(&pong);
            }
            return;
        }
        if !expected::is_answer(header.message_type) {
            return;
        }
        let Some(number) = self.expected.meet(packet) else {
            return if self.options.ends_early {
                self.report.beyond += 1;
            } else {
                self.report.unexpected(packet);
            };
        };
        let Some(step) = self.steps.get(number) else {
            return;
        };
        self.ids.learn(&step.packet, packet);
        self.report
            .compare(&step.packet, packet, self.options.compare);
    }
}
