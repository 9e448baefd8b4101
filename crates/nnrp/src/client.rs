//! Client sessions. spec: nnrp-session 2 to 6

mod answers;
mod connect;
mod control;
mod core;
mod counters;
mod error;
mod event;
mod feed;
mod frame;
mod inbox;
mod migrate;
mod options;
mod receive;
mod session;
mod submit;
mod waiters;
mod watch;

pub use self::connect::{Connector, Wanted};
pub use self::counters::{RoundTrips, SessionCounters};
pub use self::error::{
    CallError, ConnectError, MigrateError, NotSubmitted, ReceiveError, RequestError, SessionEnd,
    SubmitError,
};
pub use self::event::{Migrated, SessionEvent, SessionEvents};
pub use self::frame::{Answer, FrameEnd, FrameItem, FrameResult};
pub use self::options::{ConnectOptions, InboxLimits, ReconnectOptions, WatchOptions};
pub use self::receive::FrameStream;
pub use self::session::Session;
pub use self::submit::Submit;
