//! A small core-NATS broker to embed: development, tests, single-host use.
