//! NATS services under load: ours, `async_nats::service`, a bare subscription, the Python service.

mod load;
mod services;

pub use load::{Load, Outcome};
pub use services::{ServiceKind, broker, serve};
