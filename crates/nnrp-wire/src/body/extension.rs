//! Extension frames. No kinds are registered. spec: nnrp-wire 4.6

use bytes::Bytes;

use super::View;
use super::reference::{decode_table, encode_table};
use super::region::{Packer, Region, check_extents};
use crate::encode::Sink;
use crate::error::{Category, WireError};
use crate::field::{Zero, fixed};
use crate::metadata::check_bits;
use crate::numbers::ExtensionFrameFlags;

fixed! {
    /// Where an extension frame is.
    ExtensionFrameDescriptor[16] {
        /// What it is.
        0 extension_kind: u16,
        /// How to treat it.
        2 extension_flags: ExtensionFrameFlags,
        /// For applications.
        4 profile_id: u16,
        /// Zero.
        6 reserved0: Zero<u16>,
        /// Where it begins in its region.
        8 payload_offset: u32,
        /// Its bytes.
        12 payload_length: u32,
    }
}

impl ExtensionFrameDescriptor {
    /// Reads a region of them. spec: nnrp-wire 7.4
    ///
    /// # Errors
    /// [`Category::RegionSizeNotMultiple`], then the rules of a descriptor.
    pub fn decode_all(region: &Bytes) -> Result<Vec<Self>, WireError> {
        let view = View::new(region, 0);
        decode_table(&view, "extension descriptors", |descriptor| descriptor)
    }
}

/// An extension frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionFrame {
    /// What it is.
    pub kind: u16,
    /// How to treat it.
    pub flags: ExtensionFrameFlags,
    /// For applications.
    pub profile_id: u16,
    /// Its content.
    pub payload: Bytes,
}

impl ExtensionFrame {
    /// A frame with profile 0 and without flags.
    #[must_use]
    pub fn new(kind: u16, payload: impl Into<Bytes>) -> Self {
        Self {
            kind,
            flags: ExtensionFrameFlags::empty(),
            profile_id: 0,
            payload: payload.into(),
        }
    }
}

/// Extension frames as they are laid out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExtensionFrames {
    descriptors: Vec<ExtensionFrameDescriptor>,
    region: Region,
}

impl ExtensionFrames {
    /// Frames back to back.
    ///
    /// # Errors
    /// [`Category::UnknownFlagBits`]; [`Category::ValueOutOfRange`] if they are longer than a body can be.
    pub fn new(frames: impl IntoIterator<Item = ExtensionFrame>) -> Result<Self, WireError> {
        let mut packed = Packer::default();
        let mut descriptors = Vec::new();
        for frame in frames {
            check_bits(frame.flags, "extension_flags", 0)?;
            let (payload_offset, payload_length) = packed.push(frame.payload)?;
            descriptors.push(ExtensionFrameDescriptor {
                extension_kind: frame.kind,
                extension_flags: frame.flags,
                profile_id: frame.profile_id,
                reserved0: Zero::default(),
                payload_offset,
                payload_length,
            });
        }
        Ok(Self {
            descriptors,
            region: packed.region,
        })
    }

    /// Reads a region of descriptors and the region that they are about. With a set of known kinds, critical frames of
    /// other kinds are refused; [`Self::known`] leaves out those that are not critical. spec: nnrp-wire 7.4
    ///
    /// # Errors
    /// [`Category::RegionSizeNotMultiple`], the rules of a descriptor, [`Category::DescriptorOverlap`],
    /// [`Category::DescriptorOutOfRange`], [`Category::UnknownCriticalExtension`].
    pub fn from_regions(
        table: &Bytes,
        region: &Bytes,
        known: Option<&[u16]>,
    ) -> Result<Self, WireError> {
        let frames = Self::decode(&View::new(table, 0), View::new(region, 0))?;
        frames.check_known(known, 0)?;
        Ok(frames)
    }

    /// The region of descriptors.
    #[must_use]
    pub fn encode_table(&self) -> Vec<u8> {
        encode_table(&self.descriptors)
    }

    pub(crate) fn decode(table: &View<'_>, region: View<'_>) -> Result<Self, WireError> {
        let descriptors = decode_table(table, "extension descriptors", |descriptor| descriptor)?;
        let extent = |descriptor: &ExtensionFrameDescriptor| {
            (descriptor.payload_offset, descriptor.payload_length)
        };
        check_extents(descriptors.iter().map(extent), table, region.bytes_u64(), 8)?;
        Ok(Self {
            descriptors,
            region: Region::Whole(region.to_bytes()),
        })
    }

    /// That every critical one is known.
    pub(crate) fn check_known(&self, known: Option<&[u16]>, at: usize) -> Result<(), WireError> {
        let Some(known) = known else {
            return Ok(());
        };
        let unknown = self.descriptors.iter().position(|descriptor| {
            descriptor
                .extension_flags
                .contains(ExtensionFrameFlags::CRITICAL)
                && !known.contains(&descriptor.extension_kind)
        });
        match unknown {
            None => Ok(()),
            Some(place) => {
                let error = WireError::new(Category::UnknownCriticalExtension, "extension_kind");
                let found = u64::from(self.descriptors[place].extension_kind);
                Err(error
                    .at(at + place * ExtensionFrameDescriptor::BYTES)
                    .found(found))
            }
        }
    }

    /// Their descriptors.
    #[must_use]
    pub fn descriptors(&self) -> &[ExtensionFrameDescriptor] {
        &self.descriptors
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.descriptors.is_empty()
    }

    /// The frames, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ExtensionFrame> + '_ {
        let descriptors = self.descriptors.iter().enumerate();
        descriptors.map(|(place, descriptor)| ExtensionFrame {
            kind: descriptor.extension_kind,
            flags: descriptor.extension_flags,
            profile_id: descriptor.profile_id,
            payload: self.region.payload(
                place,
                descriptor.payload_offset,
                descriptor.payload_length,
            ),
        })
    }

    /// Those of kinds that the caller knows.
    pub fn known<'f>(&'f self, kinds: &'f [u16]) -> impl Iterator<Item = ExtensionFrame> + 'f {
        self.iter().filter(|frame| kinds.contains(&frame.kind))
    }

    /// The region that they are slices of; copied together if it was built.
    #[must_use]
    pub fn region(&self) -> Bytes {
        self.region.to_bytes()
    }

    pub(crate) fn region_bytes(&self) -> u64 {
        self.region.bytes()
    }

    pub(crate) fn write_region(&self, sink: &mut impl Sink) {
        self.region.write(sink);
    }
}
