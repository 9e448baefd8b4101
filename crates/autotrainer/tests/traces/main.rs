//! The recorded exchanges of the real package, read and written again.

mod commands;
mod published;
mod recording;
mod unreadable;
