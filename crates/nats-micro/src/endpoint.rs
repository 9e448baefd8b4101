//! Endpoints: a subject, a queue group and a handler. spec: nats-micro 2.4, 5, 6, 9

mod call;
mod config;
mod core;
mod counters;
mod drain;
mod pending;
mod pump;

pub use config::{DEFAULT_CONCURRENCY, Endpoint, Group, MAX_CONCURRENCY, Overflow, PendingLimits};
pub use counters::EndpointSnapshot;

pub(crate) use call::{Call, RespondFailure};
pub(crate) use config::{PlannedEndpoint, plan};
pub(crate) use core::{EndpointCore, ServiceIdentity};
pub(crate) use counters::Counters;
pub(crate) use pump::{OnOverflow, Pump, PumpEnd};
