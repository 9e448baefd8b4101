//! Finding and running node servers.
