//! Services and clients made with the libraries of others, in both directions and on both brokers.
//! spec: nats-micro 18.1, 18.12

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod async_nats_service;
mod command_line;
mod our_client;
mod our_service;
mod setup;
mod shape;
mod their_clients;
