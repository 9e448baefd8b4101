//! The fixed structures between header and body, one for each message that has any. spec: nnrp-wire 2, 3

use bitflags::Flags;

use crate::error::{Category, WireError};
use crate::field::Field;

mod cache;
mod fault;
mod flow;
mod frame_submit;
mod hello;
mod patch;
mod result_push;
mod transport;

pub use cache::{CacheAckMetadata, CacheInvalidateMetadata, CachePutMetadata};
pub use fault::ErrorMetadata;
pub use flow::{FlowUpdateMetadata, Ignored, ResultHintMetadata};
pub use frame_submit::FrameSubmitMetadata;
pub use hello::{ClientHelloMetadata, ServerHelloAckMetadata};
pub use patch::{ProfilePatch, SessionPatchAckMetadata, SessionPatchMetadata};
pub use result_push::ResultPushMetadata;
pub use transport::{
    SessionMigrateAckMetadata, SessionMigrateMetadata, TransportProbeAckMetadata,
    TransportProbeMetadata,
};

/// No bits that a strict set does not have; received ones were refused when they were read.
#[inline]
pub(crate) fn check_bits<S>(set: S, what: &'static str, at: usize) -> Result<(), WireError>
where
    S: Flags + Field,
{
    let known = S::from_bits_truncate(set.bits()).number();
    let found = set.number();
    if found == known {
        return Ok(());
    }
    let error = WireError::new(Category::UnknownFlagBits, what).at(at);
    Err(error.found(found).limit(S::all().number()))
}
