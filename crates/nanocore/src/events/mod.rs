//! Events of the daemon on their way to whoever watches. spec: nanograph 19.4
//!
//! [`EventHub`] numbers what happens, writes it once as JSON and keeps the newest in a ring. A [`Subscription`] is a
//! place in that ring, so that a watcher costs no queue of its own and never holds up whoever publishes: what falls out
//! of the ring before it was read is missed, and the watcher is told how much.
//!
//! ```
//! use nanocore::events::{EventHub, Item, Subscribe};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let hub = EventHub::default();
//! let mut events = hub.subscribe(Subscribe::default());
//! hub.publish("server_state", None, serde_json::json!({"serverUid": "a", "state": "ready"}));
//! let Item::Event(event) = events.next().await else { unreachable!() };
//! assert!(event.text().starts_with(r#"{"seq":1,"ts":""#));
//! # }
//! ```

mod hub;
mod ring;
mod subscription;

pub use hub::{EventHub, EventHubCounters, EventHubOptions};
pub use ring::Published;
pub use subscription::{Item, Runs, Subscribe, Subscription};

#[cfg(test)]
mod tests;
