//! Control extensions of hellos. spec: nnrp-wire 2.3

mod block;

use bytes::Bytes;

use crate::body::View;
use crate::encode::Sink;
use crate::error::{Category, WireError};
use crate::field::{Field, Fixed, Zero, align8, fixed};
use crate::metadata::Ignored;
use crate::numbers::{
    ControlExtensionFlags, LossTolerance, PayloadKinds, TransportId, TransportPolicy,
};
use crate::rules::DecodeOptions;

fixed! {
    /// What an extension is.
    ControlExtensionHeader[8] {
        /// See [`ControlExtensionType`].
        0 ext_type: u16,
        /// How to treat it.
        2 ext_flags: ControlExtensionFlags,
        /// Bytes of its payload, without padding.
        4 ext_len: u32,
    }
}

/// An extension of a hello.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlExtension {
    /// What it is; see [`ControlExtensionType`].
    pub ext_type: u16,
    /// How to treat it.
    pub flags: ControlExtensionFlags,
    /// Its content.
    pub payload: Bytes,
}

/// Extensions that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum ControlExtensionType {
    /// Of a client: which transport it wants.
    ClientTransportPolicy = 0x0101,
    /// Of a server: which transport it gets.
    ServerTransportPolicy = 0x0102,
    /// Of a client: how much may be lost.
    ClientLossTolerance = 0x0103,
    /// Of a server: how much may be lost.
    ServerLossTolerance = 0x0104,
    /// Of a client: which payloads it can.
    ClientPayloadCapabilities = 0x0105,
    /// Of a server: which payloads hold.
    ServerPayloadCapabilities = 0x0106,
}

impl ControlExtensionType {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// By its number.
    #[must_use]
    pub const fn from_number(number: u16) -> Option<Self> {
        match number {
            0x0101 => Some(Self::ClientTransportPolicy),
            0x0102 => Some(Self::ServerTransportPolicy),
            0x0103 => Some(Self::ClientLossTolerance),
            0x0104 => Some(Self::ServerLossTolerance),
            0x0105 => Some(Self::ClientPayloadCapabilities),
            0x0106 => Some(Self::ServerPayloadCapabilities),
            _ => None,
        }
    }
}

fixed! {
    /// Which transport a client wants.
    ClientTransportPolicy[8] {
        /// What it wants.
        0 transport_policy: TransportPolicy,
        /// Zero.
        1 reserved0: Ignored<u8>,
        /// Zero.
        2 reserved1: Ignored<u16>,
        /// Which it would rather have.
        4 preferred_transport_id: TransportId,
    }
}

fixed! {
    /// Which transport a client gets.
    ServerTransportPolicy[8] {
        /// What it wanted.
        0 transport_policy: TransportPolicy,
        /// What holds.
        1 accepted_transport_policy: TransportPolicy,
        /// Zero.
        2 reserved1: Ignored<u16>,
        /// Which it is on.
        4 active_transport_id: TransportId,
    }
}

fixed! {
    /// Which payloads a client can, or which hold.
    PayloadCapabilities[8] {
        /// The kinds.
        0 payload_kind_bitmap: PayloadKinds,
        /// Zero: no extension frames are registered.
        4 critical_extension_frame_bitmap: Zero<u32>,
    }
}

/// What an extension says, if it is a known one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KnownExtension {
    /// Of a client.
    ClientTransportPolicy(ClientTransportPolicy),
    /// Of a server.
    ServerTransportPolicy(ServerTransportPolicy),
    /// Of either: what a client bears, or what a server holds it to.
    LossTolerance(LossTolerance),
    /// Of either.
    PayloadCapabilities(PayloadCapabilities),
}

impl ControlExtension {
    /// Which transport a client wants.
    #[must_use]
    pub fn client_transport_policy(policy: TransportPolicy, preferred: TransportId) -> Self {
        Self::of(
            ControlExtensionType::ClientTransportPolicy,
            &ClientTransportPolicy {
                transport_policy: policy,
                reserved0: Ignored::default(),
                reserved1: Ignored::default(),
                preferred_transport_id: preferred,
            },
        )
    }

    /// Which transport a client gets.
    #[must_use]
    pub fn server_transport_policy(
        asked: TransportPolicy,
        accepted: TransportPolicy,
        active: TransportId,
    ) -> Self {
        Self::of(
            ControlExtensionType::ServerTransportPolicy,
            &ServerTransportPolicy {
                transport_policy: asked,
                accepted_transport_policy: accepted,
                reserved1: Ignored::default(),
                active_transport_id: active,
            },
        )
    }

    /// How much a client bears to lose.
    #[must_use]
    pub fn client_loss_tolerance(tolerance: LossTolerance) -> Self {
        Self::loss_tolerance(ControlExtensionType::ClientLossTolerance, tolerance)
    }

    /// How much a server may lose.
    #[must_use]
    pub fn server_loss_tolerance(tolerance: LossTolerance) -> Self {
        Self::loss_tolerance(ControlExtensionType::ServerLossTolerance, tolerance)
    }

    fn loss_tolerance(ext_type: ControlExtensionType, tolerance: LossTolerance) -> Self {
        Self {
            ext_type: ext_type.number(),
            flags: ControlExtensionFlags::empty(),
            payload: vec![tolerance.number(), 0, 0, 0, 0, 0, 0, 0].into(),
        }
    }

    /// Which payloads a client can.
    ///
    /// # Errors
    /// [`Category::UnknownFlagBits`].
    pub fn client_payload_capabilities(kinds: PayloadKinds) -> Result<Self, WireError> {
        Self::payload_capabilities(ControlExtensionType::ClientPayloadCapabilities, kinds)
    }

    /// Which payloads hold.
    ///
    /// # Errors
    /// [`Category::UnknownFlagBits`].
    pub fn server_payload_capabilities(kinds: PayloadKinds) -> Result<Self, WireError> {
        Self::payload_capabilities(ControlExtensionType::ServerPayloadCapabilities, kinds)
    }

    fn payload_capabilities(
        ext_type: ControlExtensionType,
        kinds: PayloadKinds,
    ) -> Result<Self, WireError> {
        if !PayloadKinds::all().contains(kinds) {
            let error = WireError::new(Category::UnknownFlagBits, "payload_kind_bitmap");
            return Err(error
                .found(kinds.number())
                .limit(PayloadKinds::all().number()));
        }
        let capabilities = PayloadCapabilities {
            payload_kind_bitmap: kinds,
            critical_extension_frame_bitmap: Zero::default(),
        };
        Ok(Self::of(ext_type, &capabilities))
    }

    fn of<T: Fixed>(ext_type: ControlExtensionType, content: &T) -> Self {
        let mut payload = vec![0; T::BYTES];
        content.write(&mut payload, 0);
        Self {
            ext_type: ext_type.number(),
            flags: ControlExtensionFlags::empty(),
            payload: payload.into(),
        }
    }

    /// What it says; `None` if its type is not known.
    ///
    /// # Errors
    /// [`Category::FixedLengthMismatch`], then the rules of its fields.
    pub fn known(&self) -> Result<Option<KnownExtension>, WireError> {
        let Some(ext_type) = ControlExtensionType::from_number(self.ext_type) else {
            return Ok(None);
        };
        self.parse(ext_type).map(Some)
    }

    /// What it says, if it is of this type.
    ///
    /// # Errors
    /// [`Category::WrongKind`], [`Category::FixedLengthMismatch`], then the rules of its fields.
    pub fn parse(&self, expected: ControlExtensionType) -> Result<KnownExtension, WireError> {
        if self.ext_type != expected.number() {
            let error = WireError::new(Category::WrongKind, "ext_type");
            let expected = u64::from(expected.number());
            return Err(error.found(u64::from(self.ext_type)).limit(expected));
        }
        match expected {
            ControlExtensionType::ClientTransportPolicy => {
                self.content().map(KnownExtension::ClientTransportPolicy)
            }
            ControlExtensionType::ServerTransportPolicy => {
                self.content().map(KnownExtension::ServerTransportPolicy)
            }
            ControlExtensionType::ClientLossTolerance
            | ControlExtensionType::ServerLossTolerance => {
                read_loss_tolerance(&self.payload).map(KnownExtension::LossTolerance)
            }
            ControlExtensionType::ClientPayloadCapabilities
            | ControlExtensionType::ServerPayloadCapabilities => {
                self.content().map(KnownExtension::PayloadCapabilities)
            }
        }
    }

    fn content<T: Fixed>(&self) -> Result<T, WireError> {
        let name = "control extension payload";
        T::read_whole(&self.payload, Category::FixedLengthMismatch, name)
    }

    /// The bytes of a block of extensions, each padded to a multiple of 8. spec: nnrp-wire 2.3
    ///
    /// # Errors
    /// [`Category::ValueOutOfRange`] if the block is longer than a body can be.
    pub fn encode_block(extensions: &[Self]) -> Result<Vec<u8>, WireError> {
        let bytes = extensions.iter().map(Self::wire_bytes).sum();
        let bytes = crate::body::field_u32(bytes, "control_extension_bytes")?;
        let mut block = Vec::with_capacity(bytes as usize);
        extensions
            .iter()
            .for_each(|extension| extension.write(&mut block));
        Ok(block)
    }

    /// Reads a block of extensions: those that are known, where the options have a set. spec: nnrp-wire 2.3
    ///
    /// # Errors
    /// The first check that fails; offsets count from the block's first byte.
    pub fn read_block(block: &Bytes, options: &DecodeOptions<'_>) -> Result<Vec<Self>, WireError> {
        Self::decode_block(&View::new(block, 0), options)
    }

    /// Reads a block of extensions: those that are known, where a set is given.
    pub(crate) fn decode_block(
        block: &View<'_>,
        options: &DecodeOptions<'_>,
    ) -> Result<Vec<Self>, WireError> {
        block::decode(block, options)
    }

    pub(crate) fn wire_bytes(&self) -> u64 {
        ControlExtensionHeader::BYTES as u64 + align8(self.payload.len() as u64)
    }

    pub(crate) fn write(&self, sink: &mut impl Sink) {
        sink.fixed(&ControlExtensionHeader {
            ext_type: self.ext_type,
            ext_flags: self.flags,
            // Checked when the hello was put together.
            ext_len: u32::try_from(self.payload.len()).unwrap_or(u32::MAX),
        });
        sink.payload(&self.payload);
        sink.pad8(self.payload.len() as u64);
    }
}

/// A value and reserved fields, which are looked at first.
fn read_loss_tolerance(payload: &[u8]) -> Result<LossTolerance, WireError> {
    const BYTES: usize = 8;
    if payload.len() != BYTES {
        let error = WireError::new(Category::FixedLengthMismatch, "control extension payload");
        return Err(error.at(0).found(payload.len() as u64).limit(BYTES as u64));
    }
    Zero::<u8>::read(payload, 1, "reserved0")?;
    Zero::<u16>::read(payload, 2, "reserved1")?;
    Zero::<u32>::read(payload, 4, "reserved2")?;
    LossTolerance::read(payload, 0, "loss_tolerance")
}
