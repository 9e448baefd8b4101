//! NATS services under load: ours, `async_nats::service`, a bare subscription, the Python service.

mod discovery;
mod load;
mod services;

pub use discovery::{Discovery, host_instances};
pub use load::{Load, Outcome};
pub use services::{ServiceKind, broker, serve};
