//! The device service, through its sockets.

mod anomalies;
mod clients;
mod commands;
mod hostile;
mod lifecycle;
mod peers;
mod pending;
mod publishing;
mod recorded;
#[path = "../traces/recording.rs"]
mod recording;
mod security;
