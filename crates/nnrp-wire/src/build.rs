//! Messages that follow from what is to be said. spec: nnrp-wire 7
//!
//! A tensor, typed payloads, references: [`SubmitBuilder`] and [`ResultBuilder`] work out the shape of the body, the mode, the
//! masks, counts and lengths, so that none of them can be wrong. What remains to be wrong has a
//! [`Category`](crate::Category).
//!
//! ```
//! use nnrp_wire::body::{TensorSection, TypedPayload};
//! use nnrp_wire::build::{TensorInput, Tiles};
//! use nnrp_wire::{DType, Envelope, FrameSubmit, Message};
//!
//! let tiles = ["aa".into(), "b".into()];
//! let sections = [TensorSection::new(1, DType::UInt8, &tiles)];
//! let submit = FrameSubmit::builder()
//!     .tensor(TensorInput {
//!         src_width: 64,
//!         src_height: 32,
//!         tile_width: 32,
//!         tile_height: 32,
//!         tiles: Tiles::raw(&[3, 9]),
//!         sections: &sections,
//!         ..TensorInput::default()
//!     })
//!     .payload(TypedPayload::token_chunk("hi"))
//!     .build()?;
//!
//! let mut packet = Vec::new();
//! Message::from(submit).encode(&Envelope::frame(7, 1), &mut packet)?;
//! # Ok::<(), nnrp_wire::WireError>(())
//! ```
//!
//! Payloads are not copied: not when a message is built, and not by [`Message::encode_pieces`](crate::Message::encode_pieces).

mod by_hand;
mod cache;
mod content;
mod control;
mod hello;
mod patch;
mod result;
mod structure;
mod submit;
mod tensor;

pub use result::{ResultBuilder, ResultOptions, ResultWorth};
pub use submit::{SubmitBuilder, SubmitOptions};
pub use tensor::{TensorInput, TensorOutput, Tiles};
