//! Testing handlers and services without a broker. spec: nats-micro 10.3
//!
//! - [`RequestStub`] makes requests and shows what was answered: for one handler, endpoint or middleware.
//! - [`Harness`] runs a whole service on subjects in memory: with its queues, limits, statistics and control subjects.
//!
//! Both work with tokio's time paused. With [`ServiceBuilder::clock`](crate::ServiceBuilder::clock) and
//! [`ServiceBuilder::id`](crate::ServiceBuilder::id) documents are the same in every run.
//!
//! ```
//! use nats_micro::testing::RequestStub;
//! use nats_micro::{Request, ServiceError};
//!
//! async fn double(request: Request) -> Result<String, ServiceError> {
//!     let number: i64 = request.json()?;
//!     Ok((number * 2).to_string())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let reply = RequestStub::new("double").payload("21").call(double).await?;
//! assert_eq!(reply.text()?, "42");
//!
//! let reply = RequestStub::new("double").payload("?").call(double).await?;
//! assert_eq!(reply.error().and_then(|error| error.code()), Some(400));
//! # Ok(()) }
//! ```

mod harness;
mod replies;
mod reply;
mod stub;

pub use harness::{DEFAULT_MAX_PAYLOAD_BYTES, Harness, HarnessError, HarnessOptions};
pub use replies::Replies;
pub use reply::TestReply;
pub use stub::{NoResponse, RequestStub, StubError};
