//! The Nanograph node-server protocol: messages, server, client, assets

pub mod config;
