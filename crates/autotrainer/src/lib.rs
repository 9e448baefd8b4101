//! The Autotrainer device API: events and commands of an acquisition device.

#![forbid(unsafe_code)]
