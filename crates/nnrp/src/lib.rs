//! NNRP/1, a binary real-time AI protocol: client and server sessions over TCP, TLS and QUIC.
//!
//! A client keeps submitting frames while results come back, each independently and in any order. What a session may do and
//! must do is in [`nnrp_wire`], without sockets or clock; this crate gives it both.
//!
//! ```
//! use std::time::Duration;
//!
//! use nnrp::client::{ConnectOptions, Session, Submit};
//! use nnrp::server::{ServeOptions, Server, ServerOptions, Submitted};
//! use nnrp::{ClientTls, DialOptions, Dialer, Endpoint, Listener, ListenerOptions, ServerTls};
//! use nnrp_wire::body::TypedPayload;
//! use nnrp_wire::build::ResultWorth;
//! use nnrp_wire::session::FrameKey;
//! use nnrp_wire::{FrameSubmit, ResultPush};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A server on QUIC and TLS over TCP, on one port.
//! let own = ServerTls::self_signed(["localhost"])?;
//! let options = ListenerOptions::tls("127.0.0.1:0".parse()?, own.tls);
//! let listener = Listener::bind(options).await?;
//! let port = listener.local_addr().port();
//! let server = Server::new(ServerOptions::default());
//! let greet = |frame: Submitted| async move {
//!     let result = ResultPush::builder(ResultWorth::COMPLETE)
//!         .payload(TypedPayload::token_chunk("hello"))
//!         .build();
//!     if let Ok(result) = result {
//!         // An error says that nobody waits for it any more.
//!         let _ = frame.answer.complete(result);
//!     }
//! };
//! let serving = server.clone();
//! tokio::spawn(async move {
//!     serving.serve(&listener, greet, ServeOptions::default()).await;
//! });
//!
//! // A client that trusts it.
//! let tls = ClientTls::with_authority(own.certificate_pem.as_bytes())?;
//! let dialer = Dialer::new(DialOptions::tls(tls));
//! let endpoint = Endpoint::tls("localhost", port)?;
//! let session = Session::connect(&dialer, &endpoint, ConnectOptions::default()).await?;
//! let submit = FrameSubmit::builder()
//!     .payload(TypedPayload::token_chunk("hi"))
//!     .build()?;
//! let key = FrameKey::new(session.next_frame_id());
//! let answer = session.call(Submit::new(key, submit)).await?;
//! assert_eq!(answer.result.result.metadata.payload_frame_count, 1);
//! session.close("done").await;
//! server.stop("done", Duration::from_secs(5)).await;
//! # Ok(()) }
//! ```
//!
//! | Module | What is in it |
//! |---|---|
//! | [`client`] | [`Session`](client::Session): submits, results by frame or as they come, calls, control, migration, reconnects |
//! | [`server`] | [`Server`](server::Server): sessions past their hello, frames to answer, limits, stopping |
//! | the root | [`Endpoint`]s, [`Dialer`] and [`Listener`], which make [`Link`]s; [`probe`] compares transports; [`OrderedResults`] |
//! | [`budget`] | What a frame's latency budget and loss tolerance allow |
//! | [`tools`] | Recording, playing again, and the smoke exchange of the reference |
//!
//! What must hold:
//! 1. Each frame that was submitted ends exactly once, on both sides: answered, dropped, cancelled, or failed for a typed
//!    reason; the counters add up at all times. A session that breaks ends its frames, and says so after all that came.
//! 2. Reading and writing never wait for each other. Whoever does not take what comes stops being read from; every queue has
//!    a bound in items and in bytes. Whoever has no credit waits, and can stop waiting.
//! 3. A future that is dropped loses nothing that came, and sends no half of anything. Its documentation says what it does.
//! 4. What is broken costs as little as can be: a body one frame, a QUIC stream one packet, a header the connection.
//! 5. TLS is verified unless a method with "insecure" in its name was called. Listeners bound handshakes, connections,
//!    sessions and bytes, and count each refusal.
//!
//! This crate reads no environment, prints nothing and installs no TLS provider: programs do.

#![forbid(unsafe_code)]

pub mod budget;
pub mod client;
mod dial;
mod driver;
mod endpoint;
mod link;
mod listener;
mod ordered;
mod probe;
mod proof;
pub mod server;
mod tls;
pub mod tools;

pub use dial::{DialError, DialOptions, DialPolicy, Dialer, HandshakeFault};
pub use driver::Traffic;
pub use endpoint::{Endpoint, EndpointError};
pub use link::{Link, LinkStats, QuicOptions};
pub use listener::{Listener, ListenerError, ListenerOptions, ListenerStats, TcpSecurity};
#[doc(no_inline)]
pub use nnrp_wire::{Packet, SplitLimits, TransportId};
pub use ordered::OrderedResults;
pub use probe::{ProbeError, ProbeFault, ProbeOptions, ProbeReport, TransportReport, probe};
pub use tls::{ClientTls, SelfSigned, ServerTls, TlsError};
