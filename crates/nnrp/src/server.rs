//! The server's side: who gets a session, and what answers its frames. spec: nnrp-session 5
//!
//! ```
//! use nnrp::Link;
//! use nnrp::server::{Server, ServerOptions};
//! use nnrp_wire::ResultPush;
//! use nnrp_wire::build::ResultWorth;
//!
//! # async fn example(stream: tokio::io::DuplexStream) -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::new(ServerOptions::default());
//! server.adopt_link(Link::from_stream(stream));
//! while let Some(session) = server.next_session().await {
//!     tokio::spawn(async move {
//!         while let Some(frame) = session.next_submit().await {
//!             let result = ResultPush::builder(ResultWorth::COMPLETE).build();
//!             // It may have been cancelled.
//!             let _ = result.map(|result| frame.answer.complete(result));
//!         }
//!     });
//! }
//! # Ok(())
//! # }
//! ```

mod accept;
mod answer;
mod app;
mod counters;
mod credit;
mod drops;
mod handshake;
mod hello;
mod options;
mod serve;
mod session;
mod submitted;
mod table;
mod terms;

use std::time::Duration;

pub use self::accept::{Server, Stopped};
pub use self::answer::AnswerError;
pub use self::app::SessionEnd;
pub use self::counters::{Refused, ServerTotals, SessionCounters, Tallies};
pub use self::drops::DropReason;
pub use self::hello::{Acceptance, Hello, HelloHook, Identity, Refusal};
pub use self::options::ServerOptions;
pub use self::serve::{Handler, ServeOptions};
pub use self::session::Session;
pub use self::submitted::{Responder, Submitted};

/// As messages have it; what is too long is the longest that they can say.
fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}
