//! What the other side said then, and has not said now.

use std::collections::{HashMap, VecDeque};

use nnrp_wire::{DecodeOptions, ErrorScope, Header, Message, MessageType, Packet};

use super::Step;
use crate::tools::Side;

/// Whether it is waited for and compared; the rest is advice, which comes when it comes.
pub(super) const fn is_answer(message_type: MessageType) -> bool {
    !matches!(
        message_type,
        MessageType::FlowUpdate | MessageType::ResultHint | MessageType::Ping
    )
}

/// What a packet is an answer to: whatever ends a frame answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum About {
    Frame(u32, u16),
    Other(MessageType),
}

/// A frame's id and view.
type Frame = (u32, u16);

#[derive(Debug)]
pub(super) struct Expected {
    by_what: HashMap<About, VecDeque<usize>>,
    /// For each step whether it is not waited for (any more).
    is_met: Vec<bool>,
    /// Before this step, nothing is waited for.
    met_until: usize,
    is_server: bool,
    /// As a server: which frames of the recording are which now.
    frames: HashMap<Frame, Frame>,
    submits: VecDeque<usize>,
    recorded: Vec<Frame>,
}

impl Expected {
    /// Of what the other side said.
    pub(super) fn new(steps: &[Step], side: Side) -> Self {
        let mut expected = Self {
            by_what: HashMap::new(),
            is_met: vec![true; steps.len()],
            met_until: 0,
            is_server: side == Side::Server,
            frames: HashMap::new(),
            submits: VecDeque::new(),
            recorded: steps
                .iter()
                .map(|step| frame(step.packet.header()))
                .collect(),
        };
        for (number, step) in steps.iter().enumerate() {
            if step.from == side || !is_answer(step.packet.header().message_type) {
                continue;
            }
            if let Some(is_met) = expected.is_met.get_mut(number) {
                *is_met = false;
            }
            let what = about(&step.packet);
            expected.by_what.entry(what).or_default().push_back(number);
            if step.packet.header().message_type == MessageType::FrameSubmit {
                expected.submits.push_back(number);
            }
        }
        expected
    }

    /// Whether all is here that was there before this step.
    pub(super) fn is_met_until(&mut self, before: usize) -> bool {
        while self.met_until < before && self.is_met.get(self.met_until).is_none_or(|met| *met) {
            self.met_until += 1;
        }
        self.met_until >= before
    }

    /// Nothing before this step is waited for any more; it may still come.
    pub(super) fn give_up_until(&mut self, before: usize) {
        self.met_until = self.met_until.max(before);
    }

    /// The step that this is, if it is one.
    pub(super) fn meet(&mut self, packet: &Packet) -> Option<usize> {
        let number = if self.is_server && packet.header().message_type == MessageType::FrameSubmit {
            self.meet_submit(packet)
        } else {
            self.by_what.get_mut(&about(packet))?.pop_front()
        }?;
        *self.is_met.get_mut(number)? = true;
        Some(number)
    }

    /// Submits come in the order they came in, whatever ids the client gives them.
    fn meet_submit(&mut self, packet: &Packet) -> Option<usize> {
        let number = self.submits.pop_front()?;
        let then = *self.recorded.get(number)?;
        self.frames.insert(then, frame(packet.header()));
        Some(number)
    }

    /// As a server: which frame that is now.
    pub(super) fn frame_now(&self, then: &Header) -> Option<Frame> {
        self.frames.get(&frame(then)).copied()
    }

    /// What never came.
    pub(super) fn missing<'s>(&'s self, steps: &'s [Step]) -> impl Iterator<Item = &'s Packet> {
        let missing = self.is_met.iter().zip(steps);
        missing
            .filter(|(met, _)| !**met)
            .map(|(_, step)| &step.packet)
    }
}

const fn frame(header: &Header) -> Frame {
    (header.frame_id, header.view_id)
}

fn about(packet: &Packet) -> About {
    let header = packet.header();
    let is_of_frame = matches!(
        header.message_type,
        MessageType::ResultPush
            | MessageType::ResultDrop
            | MessageType::FrameSubmit
            | MessageType::FrameCancel
    );
    let frame = if is_of_frame {
        Some(frame(header))
    } else {
        failed_frame(packet)
    };
    frame.map_or(About::Other(header.message_type), |(frame, view)| {
        About::Frame(frame, view)
    })
}

/// The frame that an ERROR ends.
fn failed_frame(packet: &Packet) -> Option<Frame> {
    if packet.header().message_type != MessageType::Error {
        return None;
    }
    let message = Message::decode(packet, &DecodeOptions::COMPATIBLE).ok()?;
    let Message::Error(report) = message else {
        return None;
    };
    let metadata = report.metadata;
    if metadata.error_scope != ErrorScope::Frame {
        return None;
    }
    let view = u16::try_from(metadata.related_view_id).ok()?;
    Some((metadata.related_frame_id, view))
}
