//! NATS services (ADR-32): services, endpoints, discovery, statistics, client.
