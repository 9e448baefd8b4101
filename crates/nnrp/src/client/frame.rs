//! What comes of frames.

use nnrp_wire::metadata::ResultHintMetadata;
use nnrp_wire::session::{FrameError, FrameOutcome};
use nnrp_wire::{Envelope, ResultPush};

use super::error::SessionEnd;

/// What comes of a frame: any number of results and hints, then one end and nothing behind it.
#[derive(Debug, Clone)]
pub enum FrameItem {
    /// Output.
    Result(FrameResult),
    /// What to expect.
    Hint(ResultHintMetadata),
    /// It has ended.
    End(FrameEnd),
}

/// Output of a frame.
#[derive(Debug, Clone)]
pub struct FrameResult {
    /// What the header says; route and trace are those of the submit, if the server does as it should.
    pub envelope: Envelope,
    /// The result.
    pub result: Box<ResultPush>,
}

/// How a frame ended.
#[derive(Debug, Clone)]
pub struct FrameEnd {
    /// How.
    pub outcome: FrameOutcome,
    /// Why, if [`FrameOutcome::Error`].
    pub error: Option<FrameError>,
    /// How the session ended, if that ended the frame.
    pub session: Option<SessionEnd>,
}

/// What a call brings.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The frame's last result.
    pub result: FrameResult,
    /// How it ended: [`FrameOutcome::Complete`], [`FrameOutcome::Stale`] or [`FrameOutcome::Degraded`].
    pub outcome: FrameOutcome,
    /// Results that came before the last one, and were not kept.
    pub superseded: u64,
}
