//! `#[node]` and `#[derive(Outputs)]`: a node from an ordinary function with typed arguments.
//!
//! ```
//! use nodewire::{Context, NodeError, Outputs, node};
//!
//! /// Prefixes each text.
//! #[node(category = "Text", version = "1.0.0")]
//! async fn echo(
//!     text: Vec<String>,
//!     #[param(default = "> ", label = "Prefix")] prefix: String,
//!     #[param(default = 1, min = 1, max = 10)] count: usize,
//!     context: &Context,
//! ) -> Result<Texts, NodeError> {
//!     context.message(format!("{} texts", text.len()));
//!     Ok(Texts { text: text.iter().map(|text| format!("{}{text}", prefix.repeat(count))).collect() })
//! }
//!
//! #[derive(Outputs)]
//! struct Texts {
//!     text: Vec<String>,
//! }
//!
//! let node = echo();
//! # use nodewire::Node as _;
//! assert_eq!(node.definition().name, "Echo");
//! assert_eq!(node.definition().parameter("prefix").map(|prefix| prefix.kind.name()), Some("text"));
//! ```
//!
//! Invariants: generated code names only `::nodewire::__private::core` (which is `nodewire-core`), `::core` and
//! `::std`; what is wrong with an attribute is told at the token that is wrong, all at once; what the macro cannot see,
//! such as a default that is no literal, is checked when the definition is first asked for.

#![forbid(unsafe_code)]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "syntax is open-ended; what a macro does not look for is the rest"
)]

mod definition;
mod literal;
mod node;
mod options;
mod outputs;
mod parameter;
mod port;
mod signature;
mod text;
mod ty;

use proc_macro::TokenStream;
use syn::{DeriveInput, ItemFn, parse_macro_input};

#[doc = include_str!("../docs/node.md")]
#[proc_macro_attribute]
pub fn node(options: TokenStream, function: TokenStream) -> TokenStream {
    let function = parse_macro_input!(function as ItemFn);
    node::expand(options.into(), function).into()
}

#[doc = include_str!("../docs/outputs.md")]
#[proc_macro_derive(Outputs, attributes(output))]
pub fn outputs(item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as DeriveInput);
    outputs::expand(&item)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
