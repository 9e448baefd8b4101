//! The fixed structures between header and body, one for each message that has any. spec: nnrp-wire 2, 3

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
