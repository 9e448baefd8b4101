//! `#[service]`: a NATS service from an `impl` block whose methods are its endpoints.
//!
//! ```
//! use nats_micro::ServiceError;
//!
//! struct Calculator;
//!
//! #[nats_micro::service(version = "1.0.0")]
//! impl Calculator {
//!     /// Adds numbers.
//!     #[endpoint]
//!     async fn add(&self, numbers: Vec<i64>) -> Result<i64, ServiceError> {
//!         numbers.iter().try_fold(0_i64, |sum, number| sum.checked_add(*number))
//!             .ok_or_else(|| ServiceError::bad_request("the sum is beyond 64 bits"))
//!     }
//! }
//!
//! Calculator.into_service().check()?;
//! # Ok::<_, nats_micro::ConfigError>(())
//! ```
//!
//! Invariants: generated code names only `::nats_micro`, `::core` and `::std`; endpoints stand in source order; what is
//! wrong with an attribute or a signature is told at the token that is wrong, all at once; what the macro cannot see, such
//! as a name that is no literal, is checked when the service starts.

#![forbid(unsafe_code)]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "syntax is open-ended; what a macro does not look for is the rest"
)]

mod check;
mod endpoint;
mod metadata;
mod options;
mod service;
mod settings;
mod signature;
mod text;

use proc_macro::TokenStream;
use syn::{ItemImpl, parse_macro_input};

#[doc = include_str!("../docs/service.md")]
#[proc_macro_attribute]
pub fn service(options: TokenStream, block: TokenStream) -> TokenStream {
    let block = parse_macro_input!(block as ItemImpl);
    service::expand(options.into(), block).into()
}
