//! Connections: one reading task each, which also writes to whom it publishes.
//!
//! What a client sends is read in large pieces. Each message is matched and put into the queues of its subscribers at
//! once; when the piece is through, the reading task writes those queues to their sockets itself, so that a message
//! costs no change of task and a burst costs one write. Only what a socket does not take at once is left to that
//! client's writing task.
//!
//! A reading task takes turns with the others: after [`TURN_STEPS_MAX`](delivery::TURN_STEPS_MAX) deliveries it
//! writes, waits for who is behind, and lets others go on. Only a single message to more subscriptions than that is not
//! interrupted.
//!
//! Order: one publisher's messages reach one subscriber in the order they were sent, since one task puts them into one
//! queue.
//!
//! Back-pressure: a client with half of its `pending_bytes_max` waiting slows down who publishes to it, for at most
//! `publisher_stall_max` per turn, and only while it takes something at least every `stuck_after`. With all of it
//! waiting, or after taking nothing for `write_timeout`, it is closed as slow consumer. When more than
//! `pending_bytes_total_max` waits for all clients, those with most are closed.

mod accept;
mod auth;
mod client;
mod clients;
mod delivery;
mod keeper;
mod operations;
mod outbox;
mod pending_total;
mod reader;
mod segments;
mod shared;
mod turns;
mod writer;

pub(crate) use accept::accept_until_stopped;
pub(crate) use auth::Auth;
pub(crate) use keeper::keep_until_stopped;
pub(crate) use shared::Shared;
