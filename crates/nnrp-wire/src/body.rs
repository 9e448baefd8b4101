//! What FRAME_SUBMIT and RESULT_PUSH carry behind their metadata. spec: nnrp-wire 4, 5, 6
//!
//! Nothing is copied when a body is read: every payload is a slice of the received bytes.

mod composed;
mod contract;
mod extension;
mod flat;
mod inline_object;
mod reference;
mod region;
mod section;
mod tensor_body;
mod tensor_section;
mod tile_index;
mod typed;
mod view;

pub use composed::{BodyPrelude, ComposedBody};
pub use extension::{ExtensionFrame, ExtensionFrameDescriptor, ExtensionFrames};
pub use flat::FlatBody;
pub use inline_object::{InlineObject, InlineObjectHeader};
pub use reference::{ObjectReference, ObjectReferenceBlock};
pub use section::{Section, SectionDescriptor};
pub use tensor_body::TensorBody;
pub use tensor_section::TensorSection;
pub use tile_index::{TileIds, TileIndex};
pub use typed::{PayloadKind, TypedPayload, TypedPayloadDescriptor, TypedPayloads};

pub(crate) use composed::PlacedBody;
pub(crate) use contract::{InlineTensor, check_result, check_submit};
pub(crate) use section::field_u32;
pub(crate) use view::View;
