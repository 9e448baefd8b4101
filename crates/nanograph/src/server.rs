//! A node server.
