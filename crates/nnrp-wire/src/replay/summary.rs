//! How large a packet is, in a line. spec: nnrp-session 7.3

use std::fmt;

use super::ReplayError;
use crate::body::Section;
use crate::error::{Category, WireError};
use crate::message::{FrameSubmit, Message, ResultBody, ResultPush, SubmitBody};
use crate::metadata::ResultPushMetadata;
use crate::numbers::{MessageType, ResultFlags};
use crate::packet::Packet;
use crate::rules::{DecodeOptions, Rules};

/// What a packet weighs. Its text is one line of `key=value`, the same as the reference's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireSummary {
    /// What it is of: `frame_submit` or `result_push`, or what the caller puts here.
    pub subject: String,
    /// What the packet is.
    pub message_type: MessageType,
    /// Bytes of the packet.
    pub wire_bytes: u64,
    /// Bytes of its metadata.
    pub metadata_bytes: u32,
    /// Bytes of its body.
    pub body_bytes: u32,
    /// Tiles.
    pub tile_count: u16,
    /// Sections, whether they are inline or not.
    pub section_count: u16,
    /// Bytes of the tile index; 0 if it is not inline.
    pub tile_index_bytes: u32,
    /// Bytes of the camera; 0 if it is not inline.
    pub camera_bytes: u32,
    /// Roles of the sections that are inline.
    pub role_ids: Vec<u16>,
    /// Of results.
    pub result_flags: Option<ResultFlags>,
}

/// A packet beside the same thing in another encoding. Its text is one line, the same as the reference's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireSizeComparison {
    /// The other encoding.
    pub reference_label: String,
    /// Its bytes.
    pub reference_bytes: u64,
    /// The packet.
    pub current: WireSummary,
}

const OPTIONS: DecodeOptions<'static> = DecodeOptions {
    rules: Rules::COMPATIBLE,
    known_control_extensions: None,
    known_extension_frames: None,
    composed_tensor_results: true,
};

impl WireSummary {
    /// Of a FRAME_SUBMIT or RESULT_PUSH, under the compatible rules.
    ///
    /// A result that declares only a tensor is read as a flat body; if that fails, and it has a reference, as a composed
    /// one.
    ///
    /// # Errors
    /// [`ReplayError::NoSummary`] for other messages; [`ReplayError::Wire`] if the packet cannot be read.
    pub fn of(packet: &Packet) -> Result<Self, ReplayError> {
        let message_type = packet.header().message_type;
        let is_replayed = matches!(
            message_type,
            MessageType::FrameSubmit | MessageType::ResultPush
        );
        if !is_replayed {
            return Err(ReplayError::NoSummary(message_type));
        }
        let mut summary = Self::sizes(packet);
        let message = Message::decode(packet, &OPTIONS)?;
        if let Message::FrameSubmit(submit) = &message {
            summary.add_submit(submit);
        } else if let Message::ResultPush(result) = &message {
            summary.add_result(result)?;
        }
        Ok(summary)
    }

    fn add_submit(&mut self, submit: &FrameSubmit) {
        let metadata = &submit.metadata;
        self.tile_count = metadata.tile_count;
        self.section_count = metadata.section_count;
        self.tile_index_bytes = metadata.tile_index_bytes;
        self.camera_bytes = metadata.camera_bytes;
        self.role_ids = roles(match &submit.body {
            SubmitBody::Flat(flat) => Some(&flat.sections),
            SubmitBody::Composed(composed) => composed.sections(),
        });
    }

    fn add_result(&mut self, result: &ResultPush) -> Result<(), WireError> {
        let metadata = &result.metadata;
        check_shape(&result.body, metadata)?;
        self.tile_count = metadata.tile_count;
        self.section_count = metadata.section_count;
        self.tile_index_bytes = metadata.tile_index_bytes;
        self.result_flags = Some(metadata.result_flags);
        self.role_ids = roles(match &result.body {
            ResultBody::Empty => None,
            ResultBody::Flat(flat) => Some(&flat.sections),
            ResultBody::Composed(composed) => composed.sections(),
        });
        Ok(())
    }

    /// Beside the same thing in another encoding, of so many bytes; the reference's own label is `protobuf`.
    #[must_use]
    pub fn compared_with(
        self,
        reference_bytes: u64,
        label: impl Into<String>,
    ) -> WireSizeComparison {
        WireSizeComparison {
            reference_label: label.into(),
            reference_bytes,
            current: self,
        }
    }

    fn sizes(packet: &Packet) -> Self {
        let header = packet.header();
        Self {
            subject: header.message_type.name().to_ascii_lowercase(),
            message_type: header.message_type,
            wire_bytes: packet.bytes(),
            metadata_bytes: header.meta_len,
            body_bytes: header.body_len,
            tile_count: 0,
            section_count: 0,
            tile_index_bytes: 0,
            camera_bytes: 0,
            role_ids: Vec::new(),
            result_flags: None,
        }
    }

    /// The flags as the text has them, `NONE` or `STALE|PARTIAL` for instance.
    #[must_use]
    pub fn result_flag_names(&self) -> Option<String> {
        let flags = self.result_flags?;
        let names: Vec<_> = flags.iter_names().map(|(name, _)| name).collect();
        Some(match names.as_slice() {
            [] => "NONE".to_owned(),
            names => names.join("|"),
        })
    }
}

/// Nothing but its references tells a composed body of a mere tensor from a broken flat one.
fn check_shape(body: &ResultBody, metadata: &ResultPushMetadata) -> Result<(), WireError> {
    if let ResultBody::Composed(composed) = body
        && !metadata.has_composed_body()
        && composed.body().references.is_empty()
    {
        return Err(WireError::new(Category::ReferenceMissing, "body"));
    }
    Ok(())
}

fn roles(sections: Option<&[Section]>) -> Vec<u16> {
    let sections = sections.unwrap_or_default().iter();
    sections
        .map(|section| section.descriptor().role_id)
        .collect()
}

impl fmt::Display for WireSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roles: Vec<_> = self.role_ids.iter().map(u16::to_string).collect();
        write!(
            f,
            "subject={} msg={} wire={} meta={} body={} tiles={} sections={} tile_index={} camera={} roles={}",
            self.subject,
            self.message_type.name(),
            self.wire_bytes,
            self.metadata_bytes,
            self.body_bytes,
            self.tile_count,
            self.section_count,
            self.tile_index_bytes,
            self.camera_bytes,
            if roles.is_empty() {
                "-".to_owned()
            } else {
                roles.join(",")
            },
        )?;
        match self.result_flag_names() {
            Some(names) => write!(f, " result_flags={names}"),
            None => Ok(()),
        }
    }
}

impl WireSizeComparison {
    /// How many bytes the packet has more; fewer are negative.
    #[must_use]
    pub fn delta_bytes(&self) -> i128 {
        i128::from(self.current.wire_bytes) - i128::from(self.reference_bytes)
    }

    /// The packet's bytes in hundredths of a percent of the reference's, rounded down; `None` if that has none.
    #[must_use]
    pub fn ratio_percent_x100(&self) -> Option<u128> {
        let wire = u128::from(self.current.wire_bytes);
        (wire * 10_000).checked_div(u128::from(self.reference_bytes))
    }

    /// The ratio as the text has it, `84.57%` or `n/a` for instance.
    #[must_use]
    pub fn ratio_text(&self) -> String {
        let text = |ratio: u128| format!("{}.{:02}%", ratio / 100, ratio % 100);
        self.ratio_percent_x100()
            .map_or_else(|| "n/a".to_owned(), text)
    }
}

impl fmt::Display for WireSizeComparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "reference_label={} reference={} current={} delta={} current_ratio={} {}",
            self.reference_label,
            self.reference_bytes,
            self.current.wire_bytes,
            self.delta_bytes(),
            self.ratio_text(),
            self.current
        )
    }
}
