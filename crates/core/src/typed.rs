//! Between values and Rust types: what `#[node]` and `#[derive(Outputs)]` expand to.
//!
//! [`Arguments`] takes an execution's inputs and parameters apart, [`OutputsWriter`] puts its outputs together.
//! [`Codec`] says how one value becomes a `T` and back: `Bytes`, [`AssetRef`], [`Json`] and [`Value`] go through as they
//! are, every other type by serde.
//!
//! ```
//! use nodewire_core::typed::{Arguments, Codec, DecodeJson as _};
//! use nodewire_core::{Inputs, NodeDefinition, Parameters, Port};
//!
//! let definition = NodeDefinition::builder("echo").input(Port::new("text", "string")).build()?;
//! let inputs = Inputs::new().with("text", "hello");
//! let arguments = Arguments::new(&definition, &inputs, const { &Parameters::new() });
//!
//! assert_eq!(arguments.one("text", Codec::<String>::decode)?, "hello");
//! let error = arguments.one("size", Codec::<u32>::decode).expect_err("nothing was given");
//! assert_eq!(error.message(), "input `size` is missing");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Invariants: an error of [`Arguments`] is an `invalid_input` that names the port or parameter, what was expected and
//! what came, never more than a short piece of it; nothing here panics on what a caller sent.
//!
//! [`AssetRef`]: crate::AssetRef
//! [`Json`]: nodewire_json::Json
//! [`Value`]: crate::Value

mod arguments;
mod codec;
mod define;
mod outputs;

pub use arguments::Arguments;
pub use codec::{Codec, DecodeJson, EncodeJson, Mismatch};
pub use define::{default_list, default_value, definition};
pub use outputs::{IntoOutputs, OutputsWriter};
