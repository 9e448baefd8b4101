//! A server's side: connections until they belong to a session, and sessions. spec: nnrp-session 5

mod close;
mod connection;
mod migrate;
mod options;
mod receive;
mod result;
mod session;

pub use connection::ServerConnection;
pub use options::{
    AcceptRefusal, ConnectionEvent, ConnectionState, HelloOffer, MigrateOffer, Report,
    ResultRefusal, ServerCounters, ServerEvent, ServerOptions, ServerState, SubmitFault,
};
pub use session::ServerSession;
