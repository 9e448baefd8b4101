//! Services. spec: nats-micro 1, 2, 3, 7, 8

mod builder;
mod control;
mod control_documents;
mod lifecycle;
mod running;
mod stop;

pub use builder::{ServiceBuilder, StartError};
pub use lifecycle::{AddError, EndpointHandle, Service, StopReason};
