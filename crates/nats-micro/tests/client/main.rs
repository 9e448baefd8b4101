//! The client against services that answer by script, and against ours: on the real nats-server and on our broker.
//! spec: nats-micro 5, 10.2, 18.10

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod brokers;
mod collecting;
mod discovery;
mod lookup;
mod requests;
