//! The #[service] macro of nats-micro.
