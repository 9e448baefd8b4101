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
//!
//! [`Server::serve`] does all of that for a [`Listener`](crate::Listener), with a [`Handler`] per frame.
//!
//! What must hold:
//! 1. A session comes out of a [`Server`] when its hello is behind it. Connections without one are as many as
//!    [`ServerOptions::handshakes_max`] says, have the hello time, and delay nobody; silent ones give way to others.
//! 2. Each frame that a [`Session`] gives out ends exactly once: by its [`Responder`], or by itself, which the responder
//!    tells. A responder that is dropped drops its frame. Keys are used again by clients, and an answer never is another
//!    frame's.
//! 3. Nothing more is read from a client whose frames nobody takes, in items ([`frames_max`]) and in bytes; nor from one that
//!    does not read what is sent to it; over all sessions, too. What is not taken when its budget is over is dropped, so that handlers get nothing that is late.
//! 4. A session moves to another connection if its client proves that it is its own: by a token that the hello's answer
//!    carries in an extension, or by its TLS certificate where [`ServerOptions::moves_by_certificate`] is on. Clients of the
//!    reference have neither; see [`ServerOptions::allows_unproven_migration`].
//! 5. Whatever is refused, dropped or lost is counted by its reason: [`Session::counters`], [`Server::totals`]. Frames whose
//!    budget has ended them are counted as [`Expired`], or as [`DropReason::BudgetExceeded`] if somebody noticed first.
//!
//! [`frames_max`]: nnrp_wire::session::ServerOptions::frames_max
//! [`Expired`]: nnrp_wire::session::FrameOutcome::Expired

mod accept;
mod answer;
mod app;
mod counters;
mod credit;
mod drops;
mod handshake;
mod hello;
mod options;
mod room;
mod serve;
mod session;
mod standing;
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
pub use self::room::ResultRoom;
pub use self::serve::{Handler, ServeOptions};
pub use self::session::Session;
pub use self::submitted::{Responder, Submitted};

/// As messages have it; what is too long is the longest that they can say.
fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}
