//! Enumerations and sets of bits. spec: nnrp-wire 1 to 6
//!
//! A closed enumeration has no other values. Of sets, strict ones have no other bits; the others keep bits that are not
//! known.

use bitflags::bitflags;

use crate::error::{Category, WireError};
use crate::field::{Field, unknown_value};

/// Defines closed enumerations that stand in a field of their width.
macro_rules! closed {
    ($($(#[$doc:meta])* $name:ident: $repr:ty { $($(#[$member_doc:meta])* $member:ident = $value:literal $text:literal,)+ })+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
            #[repr($repr)]
            pub enum $name {
                $($(#[$member_doc])* #[doc = concat!("Number ", $value, ".")] $member = $value,)+
            }

            impl $name {
                /// All of them.
                pub const ALL: &'static [Self] = &[$(Self::$member),+];

                /// The number on the wire.
                #[must_use]
                pub const fn number(self) -> $repr {
                    self as $repr
                }

                /// The name in the specification.
                #[must_use]
                pub const fn name(self) -> &'static str {
                    match self { $(Self::$member => $text,)+ }
                }

                /// By its number.
                #[must_use]
                pub const fn from_number(number: u64) -> Option<Self> {
                    match number {
                        $($value => Some(Self::$member),)+
                        _ => None,
                    }
                }
            }

            impl Field for $name {
                const BYTES: usize = size_of::<$repr>();

                #[inline]
                fn read(bytes: &[u8], at: usize, name: &'static str) -> Result<Self, WireError> {
                    let number = u64::from(<$repr as Field>::read(bytes, at, name)?);
                    match Self::from_number(number) {
                        Some(value) => Ok(value),
                        None => {
                            let largest = Self::ALL.last().map_or(0, |last| Field::number(*last));
                            Err(unknown_value(name, at, number, largest))
                        }
                    }
                }

                #[inline]
                fn write(self, out: &mut [u8], at: usize) {
                    Field::write(self as $repr, out, at);
                }

                #[inline]
                fn number(self) -> u64 {
                    u64::from(self as $repr)
                }
            }
        )+
    };
}

closed! {
    /// What a packet is. spec: nnrp-wire 1.2
    MessageType: u8 {
        /// A client says what it can.
        ClientHello = 0x01 "CLIENT_HELLO",
        /// A server says what holds.
        ServerHelloAck = 0x02 "SERVER_HELLO_ACK",
        /// Changes a session.
        SessionPatch = 0x03 "SESSION_PATCH",
        /// What of the change holds.
        SessionPatchAck = 0x04 "SESSION_PATCH_ACK",
        /// The end.
        Close = 0x05 "CLOSE",
        /// What went wrong.
        Error = 0x06 "ERROR",
        /// Input of a frame.
        FrameSubmit = 0x10 "FRAME_SUBMIT",
        /// A frame is not wanted any more.
        FrameCancel = 0x11 "FRAME_CANCEL",
        /// Output of a frame.
        ResultPush = 0x12 "RESULT_PUSH",
        /// A frame will have no output.
        ResultDrop = 0x13 "RESULT_DROP",
        /// An object to keep.
        CachePut = 0x14 "CACHE_PUT",
        /// Whether it is kept.
        CacheAck = 0x15 "CACHE_ACK",
        /// Objects to forget.
        CacheInvalidate = 0x16 "CACHE_INVALIDATE",
        /// How much may be in flight.
        FlowUpdate = 0x17 "FLOW_UPDATE",
        /// What to expect of a frame.
        ResultHint = 0x18 "RESULT_HINT",
        /// Measures a transport.
        TransportProbe = 0x19 "TRANSPORT_PROBE",
        /// Answers a probe.
        TransportProbeAck = 0x1a "TRANSPORT_PROBE_ACK",
        /// Moves a session to another transport.
        SessionMigrate = 0x1b "SESSION_MIGRATE",
        /// Whether it has moved.
        SessionMigrateAck = 0x1c "SESSION_MIGRATE_ACK",
        /// Are you there?
        Ping = 0x20 "PING",
        /// I am.
        Pong = 0x21 "PONG",
    }

    /// How a packet is written; there is one way. spec: nnrp-wire 1.1
    WireFormat: u8 {
        /// The one of this specification.
        Current = 0 "CURRENT",
    }

    /// What a client thinks of a frame. Other values are kept; see [`FrameClassField`]. spec: nnrp-wire 1.6
    FrameClass: u8 {
        /// Stands alone.
        Keyframe = 0 "KEYFRAME",
        /// Builds on others.
        Delta = 1 "DELTA",
        /// Sent again.
        Retransmit = 2 "RETRANSMIT",
        /// May be left out.
        Discardable = 3 "DISCARDABLE",
    }

    /// What went wrong. Other values are kept. spec: nnrp-wire 1.6
    ErrorCode: u32 {
        /// The version or the wire format is not supported.
        UnsupportedVersion = 1 "UNSUPPORTED_VERSION",
        /// Who it is could not be proven.
        AuthFailed = 2 "AUTH_FAILED",
        /// Not now.
        InvalidState = 3 "INVALID_STATE",
        /// The header is wrong.
        MalformedHeader = 4 "MALFORMED_HEADER",
        /// Metadata or body are wrong.
        MalformedBody = 5 "MALFORMED_BODY",
        /// That was not negotiated.
        UnsupportedCapability = 6 "UNSUPPORTED_CAPABILITY",
        /// Too much.
        LimitExceeded = 7 "LIMIT_EXCEEDED",
        /// Too late.
        FrameExpired = 8 "FRAME_EXPIRED",
        /// It was cancelled.
        FrameCancelled = 9 "FRAME_CANCELLED",
        /// A referenced object is not there.
        CacheMiss = 10 "CACHE_MISS",
        /// Too busy.
        ServerBusy = 11 "SERVER_BUSY",
        /// It is nobody's fault out there.
        InternalError = 12 "INTERNAL_ERROR",
    }

    /// Which transport a session wants. spec: nnrp-wire 2.3
    TransportPolicy: u8 {
        /// Any.
        Auto = 0 "AUTO",
        /// Rather QUIC.
        PreferQuic = 1 "PREFER_QUIC",
        /// Rather TCP.
        PreferTcp = 2 "PREFER_TCP",
        /// QUIC or none.
        ForceQuic = 3 "FORCE_QUIC",
        /// TCP or none.
        ForceTcp = 4 "FORCE_TCP",
    }

    /// A transport. spec: nnrp-wire 2.3
    TransportId: u32 {
        /// None is named.
        Unspecified = 0 "UNSPECIFIED",
        /// QUIC.
        Quic = 1 "QUIC",
        /// TCP.
        Tcp = 2 "TCP",
    }

    /// How much may be lost. spec: nnrp-wire 2.3
    LossTolerance: u8 {
        /// Nothing.
        Strict = 0 "STRICT",
        /// Some.
        BestEffort = 1 "BEST_EFFORT",
        /// What is late.
        LowLatency = 2 "LOW_LATENCY",
        /// Anything.
        FireAndForget = 3 "FIRE_AND_FORGET",
    }

    /// What became of a patch. spec: nnrp-wire 2.5
    PatchAckStatus: u16 {
        /// All of it holds.
        Accepted = 0 "ACCEPTED",
        /// Some of it holds.
        PartiallyApplied = 1 "PARTIALLY_APPLIED",
        /// None of it holds.
        Rejected = 2 "REJECTED",
    }

    /// Why not all of a patch holds. spec: nnrp-wire 2.5
    PatchRejectReason: u16 {
        /// It does.
        None = 0 "NONE",
        /// A field cannot be changed.
        UnsupportedField = 1 "UNSUPPORTED_FIELD",
        /// A value is out of range.
        InvalidRange = 2 "INVALID_RANGE",
        /// A way to degrade is not known.
        UnsupportedStrategy = 3 "UNSUPPORTED_STRATEGY",
        /// There are no such lanes.
        InvalidLaneMask = 4 "INVALID_LANE_MASK",
        /// Too often.
        RateLimited = 5 "RATE_LIMITED",
    }

    /// What an error concerns. spec: nnrp-wire 2.7
    ErrorScope: u32 {
        /// The connection.
        Connection = 0 "CONNECTION",
        /// A session.
        Session = 1 "SESSION",
        /// A frame.
        Frame = 2 "FRAME",
    }

    /// Whose credit an update is. spec: nnrp-wire 2.8
    FlowScope: u8 {
        /// The connection's.
        Connection = 0 "CONNECTION",
        /// A session's.
        Session = 1 "SESSION",
        /// An operation's.
        Operation = 2 "OPERATION",
    }

    /// Why credit is updated. spec: nnrp-wire 2.8
    FlowReason: u8 {
        /// More.
        Grant = 0 "GRANT",
        /// Less.
        Reduce = 1 "REDUCE",
        /// None for now.
        Pause = 2 "PAUSE",
        /// Again.
        Resume = 3 "RESUME",
        /// The way is congested.
        Congestion = 4 "CONGESTION",
    }

    /// How hard it presses. spec: nnrp-wire 2.8
    BackpressureLevel: u8 {
        /// Not.
        None = 0 "NONE",
        /// Slow down.
        Soft = 1 "SOFT",
        /// Stop.
        Hard = 2 "HARD",
    }

    /// What a server is about to do with a frame. spec: nnrp-wire 2.9
    HintPolicy: u32 {
        /// Says nothing.
        None = 0 "NONE",
        /// All of it.
        Full = 1 "FULL",
        /// Some of it.
        Partial = 2 "PARTIAL",
        /// An older result.
        StaleReuse = 3 "STALE_REUSE",
        /// Nothing.
        Drop = 4 "DROP",
    }

    /// How congested a server is. spec: nnrp-wire 2.9
    CongestionState: u32 {
        /// Says nothing.
        None = 0 "NONE",
        /// As usual.
        Steady = 1 "STEADY",
        /// More than usual.
        Elevated = 2 "ELEVATED",
        /// Full.
        Saturated = 3 "SATURATED",
    }

    /// Why a frame gets less. spec: nnrp-wire 2.9
    HintReason: u32 {
        /// Says nothing.
        None = 0 "NONE",
        /// The queue is full.
        QueueFull = 1 "QUEUE_FULL",
        /// The server is busy.
        ServerBusy = 2 "SERVER_BUSY",
        /// It would take longer than it may.
        BudgetExceeded = 3 "BUDGET_EXCEEDED",
        /// A newer frame has come.
        Superseded = 4 "SUPERSEDED",
    }

    /// Whether an object is kept. spec: nnrp-wire 2.12
    CacheStatus: u32 {
        /// It is.
        Accepted = 0 "ACCEPTED",
        /// It is not.
        Rejected = 1 "REJECTED",
        /// It is, in place of another.
        Replaced = 2 "REPLACED",
    }

    /// Which objects to forget. spec: nnrp-wire 2.12
    InvalidateScope: u32 {
        /// All of the session.
        WholeSession = 0 "WHOLE_SESSION",
        /// All of a namespace.
        Namespace = 1 "NAMESPACE",
        /// All of a kind; no field says which (Q11), so that only the whole namespace is safe.
        ObjectKind = 2 "OBJECT_KIND",
        /// One.
        ObjectKey = 3 "OBJECT_KEY",
    }

    /// What a frame's input is. spec: nnrp-wire 3.1
    InputProfile: u8 {
        /// Says nothing.
        Unspecified = 0 "UNSPECIFIED",
        /// Luma of the tiles that changed.
        ChangedTilesLuma = 1 "CHANGED_TILES_LUMA",
        /// Luma of all tiles.
        DenseLumaFrame = 2 "DENSE_LUMA_FRAME",
    }

    /// How tile ids are written. spec: nnrp-wire 5.2
    TileIndexMode: u8 {
        /// Not at all: they are a range.
        DenseRange = 0 "DENSE_RANGE",
        /// Each in 16 bits, in any order.
        RawU16 = 1 "RAW_U16",
        /// The first, then differences, in 16 bits.
        DeltaU16 = 2 "DELTA_U16",
        /// A bit each.
        Bitset = 3 "BITSET",
    }

    /// Where a frame's standard objects are. spec: nnrp-wire 3.1, 6.3
    SubmitMode: u8 {
        /// In its body.
        Inline = 0 "INLINE",
        /// In the cache.
        Reference = 1 "REFERENCE",
        /// Some here, some there.
        Mixed = 2 "MIXED",
    }

    /// What a result is worth. spec: nnrp-wire 3.3
    ResultClass: u8 {
        /// All.
        Complete = 0 "COMPLETE",
        /// Some tiles are missing.
        Partial = 1 "PARTIAL",
        /// An older frame's.
        StaleReuse = 2 "STALE_REUSE",
        /// Of lower quality.
        Degraded = 3 "DEGRADED",
    }

    /// What an element of a tensor is. spec: nnrp-wire 5.1
    DType: u8 {
        /// A float of 16 bits.
        Fp16 = 0 "FP16",
        /// A float of 32 bits.
        Fp32 = 1 "FP32",
        /// A float of 8 bits, 4 of them exponent.
        Fp8E4M3 = 2 "FP8_E4M3",
        /// A float of 8 bits, 5 of them exponent.
        Fp8E5M2 = 3 "FP8_E5M2",
        /// A signed integer of 8 bits.
        Int8 = 4 "INT8",
        /// An unsigned integer of 8 bits.
        UInt8 = 5 "UINT8",
        /// A signed integer of 16 bits.
        Int16 = 6 "INT16",
        /// An unsigned integer of 16 bits.
        UInt16 = 7 "UINT16",
    }

    /// The order of a tensor's axes. spec: nnrp-wire 5.1
    Layout: u8 {
        /// Channels last.
        Nhwc = 0 "NHWC",
        /// Channels first.
        Nchw = 1 "NCHW",
    }

    /// How elements become quantities. spec: nnrp-wire 5.1
    ScalePolicy: u8 {
        /// They are.
        None = 0 "NONE",
        /// By a factor.
        Linear = 1 "LINEAR",
        /// By a zero point.
        ZeroPoint = 2 "ZERO_POINT",
    }

    /// What an object is. spec: nnrp-wire 6.1
    ObjectKind: u16 {
        /// A camera.
        CameraBlock = 1 "CAMERA_BLOCK",
        /// Tile ids; an alias is `TILE_INDEX_TEMPLATE`.
        TileIndexBlock = 2 "TILE_INDEX_BLOCK",
        /// Tensor sections.
        TensorSectionTable = 3 "TENSOR_SECTION_TABLE",
        /// Codecs; an alias is `CODEC_AUX_BLOCK`.
        CodecTable = 4 "CODEC_TABLE",
        /// A result; an alias is `FALLBACK_RESOURCE`.
        ReusableResultObject = 5 "REUSABLE_RESULT_OBJECT",
        /// How a payload is laid out.
        PayloadLayoutTemplate = 6 "PAYLOAD_LAYOUT_TEMPLATE",
        /// A part of a prompt.
        PromptSegment = 7 "PROMPT_SEGMENT",
        /// A tool's schema.
        ToolSchema = 8 "TOOL_SCHEMA",
        /// An event's schema.
        StructuredEventSchema = 9 "STRUCTURED_EVENT_SCHEMA",
    }
}

impl ObjectKind {
    /// Its bit in [`ObjectKinds`]. spec: nnrp-wire 6.2
    #[must_use]
    pub const fn bit(self) -> ObjectKinds {
        ObjectKinds::from_bits_retain(1 << (self as u16 - 1))
    }

    /// Its bit in a submit's `object_ref_mask`, if it is one of the four standard objects. spec: nnrp-wire 6.3
    #[must_use]
    pub const fn slot(self) -> Option<u32> {
        match self {
            Self::CameraBlock => Some(0b0001),
            Self::TileIndexBlock => Some(0b0010),
            Self::TensorSectionTable => Some(0b0100),
            Self::PayloadLayoutTemplate => Some(0b1000),
            Self::CodecTable
            | Self::ReusableResultObject
            | Self::PromptSegment
            | Self::ToolSchema
            | Self::StructuredEventSchema => None,
        }
    }

    /// The standard objects in the order of their slots.
    pub const SLOTS: [Self; 4] = [
        Self::CameraBlock,
        Self::TileIndexBlock,
        Self::TensorSectionTable,
        Self::PayloadLayoutTemplate,
    ];
}

/// An object kind in 32 bits, as CACHE_PUT has it (Q30).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WideObjectKind(pub ObjectKind);

impl Field for WideObjectKind {
    const BYTES: usize = 4;

    fn read(bytes: &[u8], at: usize, name: &'static str) -> Result<Self, WireError> {
        let number = u64::from(u32::read(bytes, at, name)?);
        let unknown = || {
            WireError::new(Category::UnknownEnumValue, name)
                .at(at)
                .found(number)
                .limit(9)
        };
        ObjectKind::from_number(number)
            .map(Self)
            .ok_or_else(unknown)
    }

    fn write(self, out: &mut [u8], at: usize) {
        u32::from(self.0.number()).write(out, at);
    }

    fn number(self) -> u64 {
        Field::number(self.0)
    }
}

/// A frame class, or a number that is none (Q4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameClassField(pub u8);

impl FrameClassField {
    /// The class, if it is one.
    #[must_use]
    pub const fn known(self) -> Option<FrameClass> {
        FrameClass::from_number(self.0 as u64)
    }
}

impl From<FrameClass> for FrameClassField {
    fn from(class: FrameClass) -> Self {
        Self(class.number())
    }
}

impl Field for FrameClassField {
    const BYTES: usize = 1;

    fn read(bytes: &[u8], at: usize, name: &'static str) -> Result<Self, WireError> {
        u8::read(bytes, at, name).map(Self)
    }

    fn write(self, out: &mut [u8], at: usize) {
        self.0.write(out, at);
    }

    fn number(self) -> u64 {
        u64::from(self.0)
    }
}

/// How much of a frame may be lost; `None` is 255 on the wire, what the session has. spec: nnrp-wire 3.1
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FrameLossTolerance(pub Option<LossTolerance>);

impl FrameLossTolerance {
    const INHERIT: u8 = 255;
}

impl Field for FrameLossTolerance {
    const BYTES: usize = 1;

    fn read(bytes: &[u8], at: usize, name: &'static str) -> Result<Self, WireError> {
        if u8::read(bytes, at, name)? == Self::INHERIT {
            return Ok(Self(None));
        }
        LossTolerance::read(bytes, at, name).map(|tolerance| Self(Some(tolerance)))
    }

    fn write(self, out: &mut [u8], at: usize) {
        self.0
            .map_or(Self::INHERIT, LossTolerance::number)
            .write(out, at);
    }

    fn number(self) -> u64 {
        u64::from(self.0.map_or(Self::INHERIT, LossTolerance::number))
    }
}

/// Defines sets of bits; `kept` ones may have bits that are not known.
macro_rules! sets {
    ($($keeping:ident $(#[$doc:meta])* $name:ident: $repr:ty { $($(#[doc = $bit_doc:literal])* $bit:ident = $value:literal,)* })+) => {
        $(
            bitflags! {
                $(#[$doc])*
                #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
                pub struct $name: $repr {
                    $($(#[doc = $bit_doc])* #[doc = concat!("Bit ", stringify!($value), ".")] const $bit = $value;)*
                }
            }

            impl Field for $name {
                const BYTES: usize = size_of::<$repr>();

                #[inline]
                fn read(bytes: &[u8], at: usize, name: &'static str) -> Result<Self, WireError> {
                    let set = Self::from_bits_retain(<$repr as Field>::read(bytes, at, name)?);
                    sets!(@check $keeping set, at, name);
                    Ok(set)
                }

                #[inline]
                fn write(self, out: &mut [u8], at: usize) {
                    Field::write(self.bits(), out, at);
                }

                #[inline]
                fn number(self) -> u64 {
                    u64::from(self.bits())
                }
            }
        )+
    };
    (@check kept $set:ident, $at:ident, $name:ident) => {};
    (@check strict $set:ident, $at:ident, $name:ident) => {
        if !Self::all().contains($set) {
            let error = WireError::new(Category::UnknownFlagBits, $name).at($at);
            return Err(error.found(Field::number($set)).limit(Field::number(Self::all())));
        }
    };
}

sets! {
    kept
    /// Of a header. Bits that are not known stay. spec: nnrp-wire 1.3
    HeaderFlags: u32 {
        /// The sender waits for an acknowledgement.
        ACK_REQUIRED = 0x01,
        /// It may be dropped.
        CAN_DROP = 0x02,
        /// It is out of date.
        STALE = 0x04,
        /// The last of its kind.
        EOS = 0x08,
        /// It was sent before.
        RETRANSMIT = 0x10,
        /// It stands alone.
        KEYFRAME = 0x20,
    }

    kept
    /// Of a control extension. spec: nnrp-wire 2.3
    ControlExtensionFlags: u16 {
        /// Who does not know it must refuse.
        CRITICAL = 0x0001,
    }

    kept
    /// What a patch changes. spec: nnrp-wire 2.4
    PatchMask: u32 {
        /// The cadence; an alias is `TARGET_FPS`.
        TARGET_CADENCE = 0x01,
        /// The quality.
        QUALITY_TIER = 0x02,
        /// How to degrade.
        DEGRADE_POLICY = 0x04,
        /// Which lanes are active; an alias is `ACTIVE_VIEW_MASK`.
        ACTIVE_LANE_MASK = 0x08,
        /// Which codecs are preferred.
        PREFERRED_CODEC = 0x10,
        /// Which compressions are preferred.
        PREFERRED_COMPRESSION = 0x20,
        /// The block in the body.
        PROFILE_PATCH = 0x40,
    }

    strict
    /// What of a flow update holds. spec: nnrp-wire 2.8
    FlowFlags: u32 {
        /// The credit does.
        CREDIT_VALID = 0x1,
        /// The time to wait does.
        RETRY_AFTER_VALID = 0x2,
        /// Only work that can wait is meant.
        BACKGROUND_ONLY = 0x4,
        /// What is in flight ends, nothing new begins.
        DRAIN_IN_FLIGHT_ONLY = 0x8,
    }

    kept
    /// How to keep an object. spec: nnrp-wire 2.12
    CacheFlags: u32 {
        /// Until it is invalidated.
        PINNED = 0x1,
        /// For several frames.
        REUSABLE = 0x2,
    }

    strict
    /// What payloads are. spec: nnrp-wire 3.4
    PayloadKinds: u32 {
        /// Tensor sections.
        TENSOR = 0x01,
        /// Text or tokens, piece by piece.
        TOKEN_CHUNK = 0x02,
        /// Sound.
        AUDIO_CHUNK = 0x04,
        /// Pictures.
        VIDEO_CHUNK = 0x08,
        /// An event.
        STRUCTURED_EVENT = 0x10,
        /// A tool call, piece by piece.
        TOOL_DELTA = 0x20,
        /// Anything.
        OPAQUE_BYTES = 0x40,
    }

    strict
    /// What may be done to a frame that is too much. spec: nnrp-wire 3.3
    BudgetPolicy: u8 {
        /// Answer some of it.
        ALLOW_PARTIAL = 0x01,
        /// Answer with an older result.
        ALLOW_STALE_REUSE = 0x02,
        /// Answer in lower quality.
        ALLOW_DEGRADED = 0x04,
        /// Do not answer.
        ALLOW_DROP = 0x08,
    }

    strict
    /// What a result is. spec: nnrp-wire 3.3
    ResultFlags: u16 {
        /// Out of date.
        STALE = 0x0001,
        /// From another way to compute it.
        FALLBACK = 0x0002,
        /// Some of it.
        PARTIAL = 0x0004,
    }

    kept
    /// Of a tensor section. spec: nnrp-wire 5.1
    SectionFlags: u16 {
        /// Each tile has a codec of its own.
        MIXED_CODEC = 0x0001,
        /// Each tile has a slot of the same size.
        FIXED_STRIDE = 0x0002,
    }

    strict
    /// Of an extension frame. spec: nnrp-wire 4.6
    ExtensionFrameFlags: u16 {
        /// Who does not know it must refuse.
        CRITICAL = 0x0001,
    }

    kept
    /// Kinds of objects. spec: nnrp-wire 6.2
    ObjectKinds: u32 {
        /// Cameras.
        CAMERA_BLOCK = 0x0001,
        /// Tile ids.
        TILE_INDEX_BLOCK = 0x0002,
        /// Tensor sections.
        TENSOR_SECTION_TABLE = 0x0004,
        /// Codecs.
        CODEC_TABLE = 0x0008,
        /// Results.
        REUSABLE_RESULT_OBJECT = 0x0010,
        /// Layouts of payloads.
        PAYLOAD_LAYOUT_TEMPLATE = 0x0020,
        /// Parts of prompts.
        PROMPT_SEGMENT = 0x0040,
        /// Schemas of tools.
        TOOL_SCHEMA = 0x0080,
        /// Schemas of events.
        STRUCTURED_EVENT_SCHEMA = 0x0100,
    }
}

impl FromIterator<ObjectKind> for ObjectKinds {
    fn from_iter<I: IntoIterator<Item = ObjectKind>>(kinds: I) -> Self {
        kinds
            .into_iter()
            .fold(Self::empty(), |set, kind| set | kind.bit())
    }
}

impl ObjectKinds {
    /// Those that tensors need.
    pub const TENSOR_PROFILE: Self = Self::CAMERA_BLOCK
        .union(Self::TILE_INDEX_BLOCK)
        .union(Self::TENSOR_SECTION_TABLE);
}
