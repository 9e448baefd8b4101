//! Why bytes are no packet, or a message cannot be one. spec: nnrp-wire 8

use std::fmt;

use thiserror::Error;

use crate::numbers::ErrorCode;

/// The first check that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub struct WireError {
    /// Which check.
    pub category: Category,
    /// What it looked at: a field, a region, a count.
    pub what: &'static str,
    /// Where that stands, in bytes from the start of what was decoded; `None` for what was to be built.
    pub offset: Option<usize>,
    /// What was found.
    pub found: Option<u64>,
    /// What it had to be, at most or exactly.
    pub limit: Option<u64>,
}

impl WireError {
    /// Out of the way of what is right.
    #[cold]
    pub(crate) const fn new(category: Category, what: &'static str) -> Self {
        Self {
            category,
            what,
            offset: None,
            found: None,
            limit: None,
        }
    }

    pub(crate) const fn at(mut self, offset: usize) -> Self {
        self.offset = Some(offset);
        self
    }

    pub(crate) const fn found(mut self, found: u64) -> Self {
        self.found = Some(found);
        self
    }

    pub(crate) const fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The same about something that has no place yet.
    #[cold]
    pub(crate) const fn unplaced(mut self) -> Self {
        self.offset = None;
        self
    }

    /// The same, its offset counted from the start of something larger that begins so much earlier.
    #[cold]
    pub(crate) const fn moved(mut self, bytes: usize) -> Self {
        if let Some(offset) = self.offset {
            self.offset = Some(offset + bytes);
        }
        self
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.category, self.what)?;
        if let Some(found) = self.found {
            write!(f, " is {found}")?;
        }
        if let Some(limit) = self.limit {
            write!(f, ", the limit is {limit}")?;
        }
        match self.offset {
            Some(offset) => write!(f, " (byte {offset})"),
            None => Ok(()),
        }
    }
}

macro_rules! categories {
    ($($(#[$doc:meta])* $name:ident = $text:literal => $code:expr;)+) => {
        /// What is wrong, by the names that all implementations use.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Category {
            $($(#[$doc])* $name,)+
        }

        impl Category {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The name, `bad_magic` for instance.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// What an ERROR message should say of it; `None` where only the caller is to be told.
            #[must_use]
            pub const fn error_code(self) -> Option<ErrorCode> {
                match self { $(Self::$name => $code,)+ }
            }
        }
    };
}

const HEADER: Option<ErrorCode> = Some(ErrorCode::MalformedHeader);
const BODY: Option<ErrorCode> = Some(ErrorCode::MalformedBody);
const VERSION: Option<ErrorCode> = Some(ErrorCode::UnsupportedVersion);
const CAPABILITY: Option<ErrorCode> = Some(ErrorCode::UnsupportedCapability);
const LIMIT: Option<ErrorCode> = Some(ErrorCode::LimitExceeded);
const LOCAL: Option<ErrorCode> = None;

categories! {
    /// Fewer bytes than a header has.
    HeaderTruncated = "header_truncated" => HEADER;
    /// It does not start with `NNRP`.
    BadMagic = "bad_magic" => HEADER;
    /// The header says that it is not 40 bytes long.
    BadHeaderLen = "bad_header_len" => HEADER;
    /// No message has this type.
    UnknownMessageType = "unknown_message_type" => HEADER;
    /// The wire format is not known, or not the expected one.
    UnknownWireFormat = "unknown_wire_format" => VERSION;
    /// The version is not 1.
    UnsupportedVersion = "unsupported_version" => VERSION;
    /// Fewer bytes than the header announces.
    PacketTruncated = "packet_truncated" => HEADER;
    /// More bytes than the header announces.
    PacketTrailingBytes = "packet_trailing_bytes" => HEADER;
    /// The metadata is not as long as the message type's.
    MetadataLengthMismatch = "metadata_length_mismatch" => BODY;
    /// A fixed structure other than metadata has another size.
    FixedLengthMismatch = "fixed_length_mismatch" => BODY;
    /// A value that a closed enumeration does not have.
    UnknownEnumValue = "unknown_enum_value" => BODY;
    /// A bit that a strict set does not have.
    UnknownFlagBits = "unknown_flag_bits" => BODY;
    /// A reserved field is not zero.
    ReservedNonzero = "reserved_nonzero" => BODY;
    /// A field of tensors is set, but no tensor is declared.
    TensorFieldWithoutTensor = "tensor_field_without_tensor" => BODY;
    /// A field is set that the scope does not have.
    ScopeFieldConflict = "scope_field_conflict" => BODY;
    /// A field that must be set is zero.
    RequiredValueMissing = "required_value_missing" => BODY;
    /// A field is set without the flag that makes it valid.
    MissingValidityFlag = "missing_validity_flag" => BODY;
    /// The header's session does not fit the scope.
    SessionIdScopeConflict = "session_id_scope_conflict" => BODY;
    /// The parts of a hello's body do not add up.
    HelloBodyLengthMismatch = "hello_body_length_mismatch" => BODY;
    /// A control extension does not fit into its block.
    ControlExtensionTruncated = "control_extension_truncated" => BODY;
    /// A patch's body is not as long as announced, or not 0 or 16 bytes.
    ProfilePatchLengthMismatch = "profile_patch_length_mismatch" => BODY;
    /// A probe's body is not as long as announced.
    ProbePayloadLengthMismatch = "probe_payload_length_mismatch" => BODY;
    /// An extension that must be understood is not known.
    UnknownCriticalExtension = "unknown_critical_extension" => CAPABILITY;
    /// Padding is not zero.
    NonzeroPadding = "nonzero_padding" => BODY;
    /// A composed body is too short for its prelude.
    BodyPreludeTruncated = "body_prelude_truncated" => BODY;
    /// The regions of a composed body do not add up.
    BodyLengthMismatch = "body_length_mismatch" => BODY;
    /// A table is not a whole number of entries.
    RegionSizeNotMultiple = "region_size_not_multiple" => BODY;
    /// An inline object does not fit into its region.
    InlineObjectTruncated = "inline_object_truncated" => BODY;
    /// A payload begins before the one before it ends.
    DescriptorOverlap = "descriptor_overlap" => BODY;
    /// A payload lies outside its region.
    DescriptorOutOfRange = "descriptor_out_of_range" => BODY;
    /// A payload is not of exactly one kind.
    PayloadKindNotSingle = "payload_kind_not_single" => BODY;
    /// A payload's kind is not in the metadata's set.
    PayloadKindUndeclared = "payload_kind_undeclared" => BODY;
    /// There are not as many payloads as the metadata says.
    PayloadFrameCountMismatch = "payload_frame_count_mismatch" => BODY;
    /// There are payload bytes that belong to no payload.
    PayloadBytesWithoutFrames = "payload_bytes_without_frames" => BODY;
    /// A typed payload says that it is a tensor.
    TensorInTypedFrame = "tensor_in_typed_frame" => BODY;
    /// There are references although everything is inline.
    InlineModeWithReferences = "inline_mode_with_references" => BODY;
    /// An object is there twice.
    DuplicateObject = "duplicate_object" => BODY;
    /// An object is there both inline and by reference.
    ObjectInlineAndReferenced = "object_inline_and_referenced" => BODY;
    /// A reference that was announced is not there.
    ReferenceMissing = "reference_missing" => BODY;
    /// A reference was not announced.
    ReferenceNotInMask = "reference_not_in_mask" => BODY;
    /// There is an inline object although everything comes by reference.
    InlineObjectInReferenceMode = "inline_object_in_reference_mode" => BODY;
    /// References are not in order.
    ReferenceOrder = "reference_order" => BODY;
    /// An object is not as long as the metadata says.
    ObjectSizeMismatch = "object_size_mismatch" => BODY;
    /// An object that the metadata needs is not there.
    RequiredObjectMissing = "required_object_missing" => BODY;
    /// The tile index comes by reference, but has an inline length.
    TileIndexBytesWithReference = "tile_index_bytes_with_reference" => BODY;
    /// The tile index is not as long as its mode wants.
    TileIndexLengthMismatch = "tile_index_length_mismatch" => BODY;
    /// The tile index does not name as many tiles as there are.
    TileIndexCountMismatch = "tile_index_count_mismatch" => BODY;
    /// The tensor part is too short.
    TensorBodyTruncated = "tensor_body_truncated" => BODY;
    /// Bytes follow the last section.
    TrailingBytes = "trailing_bytes" => BODY;
    /// A section is too short.
    SectionTruncated = "section_truncated" => BODY;
    /// Sections are not in the order of their roles.
    SectionRoleOrder = "section_role_order" => BODY;
    /// A section does not have one payload for each tile.
    SectionTileCountMismatch = "section_tile_count_mismatch" => BODY;
    /// The length table is not a whole number of lengths.
    LengthTableNotMultiple = "length_table_not_multiple" => BODY;
    /// A stride without its flag, or the flag without a stride.
    StrideFlagConflict = "stride_flag_conflict" => BODY;
    /// A codec table without its flag, or the flag without a table.
    CodecFlagConflict = "codec_flag_conflict" => BODY;
    /// There is not one codec for each tile.
    CodecCountMismatch = "codec_count_mismatch" => BODY;
    /// A section's payload is not as long as its tiles.
    SectionPayloadLengthMismatch = "section_payload_length_mismatch" => BODY;
    /// A tile is longer than its slot.
    TileExceedsStride = "tile_exceeds_stride" => BODY;
    /// Covered and dropped tiles do not add up.
    CoverageMismatch = "coverage_mismatch" => BODY;
    /// A partial result without dropped tiles.
    PartialWithoutDrop = "partial_without_drop" => BODY;
    /// A value does not fit its field.
    ValueOutOfRange = "value_out_of_range" => LOCAL;
    /// A length field differs from what it is the length of.
    DeclaredLengthMismatch = "declared_length_mismatch" => BODY;
    /// It is of another kind than expected.
    WrongKind = "wrong_kind" => LOCAL;
    /// Messages of this type are more than a header.
    NotHeaderOnlyType = "not_header_only_type" => LOCAL;
    /// There is no payload.
    NoFrames = "no_frames" => LOCAL;
    /// There is no tensor content.
    NoTensorContent = "no_tensor_content" => LOCAL;
    /// There is tensor content, but no tensor is declared.
    TensorContentWithoutTensor = "tensor_content_without_tensor" => LOCAL;
    /// Tile ids are no range.
    TileIdsNotContiguous = "tile_ids_not_contiguous" => LOCAL;
    /// Tile ids do not increase.
    TileIdsNotIncreasing = "tile_ids_not_increasing" => LOCAL;
    /// Results cannot have this tile index mode.
    UnsupportedTileIndexMode = "unsupported_tile_index_mode" => LOCAL;
    /// There should be references, but the mask is empty.
    ReferenceMaskMissing = "reference_mask_missing" => LOCAL;
    /// The mask differs from the references.
    ReferenceMaskMismatch = "reference_mask_mismatch" => LOCAL;
    /// There is content in a message that has none.
    UnexpectedContent = "unexpected_content" => BODY;
    /// A length is above what this side accepts.
    LimitExceeded = "limit_exceeded" => LIMIT;
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
