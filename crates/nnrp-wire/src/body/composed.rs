//! Bodies of six regions. spec: nnrp-wire 4.2

use bytes::Bytes;

use super::reference::check_multiple;
use super::section::field_u32;
use super::{
    ExtensionFrameDescriptor, ExtensionFrames, InlineObject, InlineObjectHeader, InlineTensor,
    ObjectReference, PayloadKind, TypedPayloadDescriptor, TypedPayloads, View,
};
use crate::encode::Sink;
use crate::error::{Category, WireError};
use crate::field::{Fixed, Zero, fixed};
use crate::rules::DecodeOptions;

fixed! {
    /// How long the regions are.
    BodyPrelude[32] {
        /// Of inline objects, their paddings included.
        0 inline_object_bytes: u32,
        /// Of references.
        4 object_reference_bytes: u32,
        /// Of the table of typed payloads.
        8 typed_payload_descriptor_bytes: u32,
        /// Of typed payloads.
        12 typed_payload_frame_bytes: u32,
        /// Of the table of extension frames.
        16 extension_descriptor_bytes: u32,
        /// Of extension frames.
        20 extension_payload_bytes: u32,
        /// Zero.
        24 body_flags: Zero<u32>,
        /// Zero.
        28 reserved: Zero<u32>,
    }
}

/// Objects, references, typed payloads and extension frames.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ComposedBody {
    /// Objects that come along.
    pub inline_objects: Vec<InlineObject>,
    /// Objects that are in the cache.
    pub references: Vec<ObjectReference>,
    /// Typed payloads.
    pub typed: TypedPayloads,
    /// Extension frames.
    pub extensions: ExtensionFrames,
}

/// A composed body that is to be checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlacedBody<'b> {
    pub(crate) body: &'b ComposedBody,
    pub(crate) at: Places,
    /// What its tensor objects say, if that is known; else they are read.
    pub(crate) tensor: Option<&'b InlineTensor>,
}

/// Offsets of regions; 0 in bodies that were built.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Places {
    pub(crate) objects: usize,
    pub(crate) references: usize,
    pub(crate) typed: usize,
    pub(crate) extension_payloads: usize,
}

impl<'b> PlacedBody<'b> {
    pub(crate) const fn received(body: &'b ComposedBody, at: Places) -> Self {
        Self {
            body,
            at,
            tensor: None,
        }
    }

    pub(crate) fn built(body: &'b ComposedBody, tensor: Option<&'b InlineTensor>) -> Self {
        Self {
            body,
            at: Places::default(),
            tensor,
        }
    }

    /// Where the object at this place stood.
    pub(crate) fn object_at(&self, place: usize) -> usize {
        let before = self.body.inline_objects.iter().take(place);
        let bytes: u64 = before.map(InlineObject::wire_bytes).sum();
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.at.objects.saturating_add(bytes)
    }

    /// Where the content of the object at this place stood.
    pub(crate) fn content_at(&self, place: usize) -> usize {
        let at = self.object_at(place);
        at.saturating_add(InlineObjectHeader::BYTES)
    }

    /// Where the reference at this place stood.
    pub(crate) const fn reference_at(&self, place: usize) -> usize {
        self.at.references + place * ObjectReference::BYTES
    }

    /// No typed payload is a tensor (Q19).
    pub(crate) fn check_no_tensor(&self) -> Result<(), WireError> {
        let descriptors = self.body.typed.descriptors();
        let tensor =
            |descriptor: &TypedPayloadDescriptor| descriptor.payload_kind == PayloadKind::Tensor;
        match descriptors.iter().position(tensor) {
            None => Ok(()),
            Some(place) => {
                let at = self.at.typed + place * TypedPayloadDescriptor::BYTES;
                Err(WireError::new(Category::TensorInTypedFrame, "payload_kind")
                    .at(at)
                    .found(1))
            }
        }
    }
}

impl ComposedBody {
    /// Reads a body of six regions; what metadata wants of it is [`FrameSubmitMetadata::check_body`]'s business, or
    /// [`ResultPushMetadata::check_body`]'s. spec: nnrp-wire 4.2
    ///
    /// # Errors
    /// The first check that fails, in the specification's order; offsets count from the body's first byte.
    ///
    /// [`FrameSubmitMetadata::check_body`]: crate::metadata::FrameSubmitMetadata::check_body
    /// [`ResultPushMetadata::check_body`]: crate::metadata::ResultPushMetadata::check_body
    pub fn from_bytes(bytes: &Bytes, options: &DecodeOptions<'_>) -> Result<Self, WireError> {
        let (body, _) = Self::decode(&View::new(bytes, 0), options)?;
        Ok(body)
    }

    /// The bytes on the wire.
    ///
    /// # Errors
    /// [`Category::ValueOutOfRange`] if a region is too long.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        let mut out = Vec::new();
        self.write(&self.prelude()?, &mut out);
        Ok(out)
    }

    /// The structure; what metadata wants of it is checked elsewhere.
    pub(crate) fn decode(
        view: &View<'_>,
        options: &DecodeOptions<'_>,
    ) -> Result<(Self, Places), WireError> {
        const HEAD: u64 = BodyPrelude::BYTES as u64;
        if view.bytes_u64() < HEAD {
            let error = view.error(Category::BodyPreludeTruncated, "body prelude");
            return Err(error.found(view.bytes_u64()).limit(HEAD));
        }
        let prelude = BodyPrelude::read(view, 0).map_err(|error| error.moved(view.at()))?;
        prelude.check_tables(view.at())?;
        let [
            objects,
            references,
            typed_table,
            typed,
            extension_table,
            extensions,
        ] = prelude.regions(view)?;
        let at = Places {
            objects: objects.at(),
            references: references.at(),
            typed: typed_table.at(),
            extension_payloads: extensions.at(),
        };
        let body = Self {
            inline_objects: InlineObject::decode_region(&objects)?,
            references: ObjectReference::decode_region(&references)?,
            typed: TypedPayloads::decode(&typed_table, typed)?,
            extensions: ExtensionFrames::decode(&extension_table, extensions)?,
        };
        let known = options.known_extension_frames;
        body.extensions.check_known(known, extension_table.at())?;
        Ok((body, at))
    }

    /// The lengths of its regions.
    ///
    /// # Errors
    /// [`Category::ValueOutOfRange`] if one is too long.
    pub fn prelude(&self) -> Result<BodyPrelude, WireError> {
        let tables = |entries: usize, bytes: usize| entries as u64 * bytes as u64;
        let objects = self
            .inline_objects
            .iter()
            .map(InlineObject::wire_bytes)
            .sum();
        let references = tables(self.references.len(), ObjectReference::BYTES);
        let typed = tables(self.typed.len(), TypedPayloadDescriptor::BYTES);
        let extensions = self.extensions.descriptors().len();
        let extensions = tables(extensions, ExtensionFrameDescriptor::BYTES);
        Ok(BodyPrelude {
            inline_object_bytes: field_u32(objects, "inline_object_bytes")?,
            object_reference_bytes: field_u32(references, "object_reference_bytes")?,
            typed_payload_descriptor_bytes: field_u32(typed, "typed_payload_descriptor_bytes")?,
            typed_payload_frame_bytes: field_u32(
                self.typed.region_bytes(),
                "typed_payload_frame_bytes",
            )?,
            extension_descriptor_bytes: field_u32(extensions, "extension_descriptor_bytes")?,
            extension_payload_bytes: field_u32(
                self.extensions.region_bytes(),
                "extension_payload_bytes",
            )?,
            body_flags: Zero::default(),
            reserved: Zero::default(),
        })
    }

    /// With the prelude that says how long its regions are.
    pub(crate) fn write(&self, prelude: &BodyPrelude, sink: &mut impl Sink) {
        sink.fixed(prelude);
        self.inline_objects
            .iter()
            .for_each(|object| object.write(sink));
        let references = self.references.iter();
        references.for_each(|reference| sink.fixed(&reference.block()));
        self.typed
            .descriptors()
            .iter()
            .for_each(|descriptor| sink.fixed(descriptor));
        self.typed.write_region(sink);
        let extensions = self.extensions.descriptors().iter();
        extensions.for_each(|descriptor| sink.fixed(descriptor));
        self.extensions.write_region(sink);
    }
}

impl BodyPrelude {
    fn check_tables(&self, at: usize) -> Result<(), WireError> {
        for (name, bytes, entry_bytes, place) in [
            (
                "typed_payload_descriptor_bytes",
                self.typed_payload_descriptor_bytes,
                TypedPayloadDescriptor::BYTES,
                8,
            ),
            (
                "extension_descriptor_bytes",
                self.extension_descriptor_bytes,
                ExtensionFrameDescriptor::BYTES,
                16,
            ),
        ] {
            check_multiple(u64::from(bytes), entry_bytes as u64, name, at + place)?;
        }
        Ok(())
    }

    /// Bytes of the body.
    #[must_use]
    pub fn body_bytes(&self) -> u64 {
        let regions = self.region_bytes().into_iter().map(u64::from);
        Self::BYTES as u64 + regions.sum::<u64>()
    }

    const fn region_bytes(&self) -> [u32; 6] {
        [
            self.inline_object_bytes,
            self.object_reference_bytes,
            self.typed_payload_descriptor_bytes,
            self.typed_payload_frame_bytes,
            self.extension_descriptor_bytes,
            self.extension_payload_bytes,
        ]
    }

    fn regions<'b>(&self, view: &View<'b>) -> Result<[View<'b>; 6], WireError> {
        if self.body_bytes() != view.bytes_u64() {
            let error = view.error(Category::BodyLengthMismatch, "body");
            return Err(error.found(view.bytes_u64()).limit(self.body_bytes()));
        }
        let mut end = Self::BYTES as u64;
        Ok(self.region_bytes().map(|bytes| {
            let start = end;
            end += u64::from(bytes);
            // They add up to what is there.
            view.part(start..end).unwrap_or_else(|| view.rest(u64::MAX))
        }))
    }
}
