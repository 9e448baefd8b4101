//! Device services under load: ours, the real one, bare libzmq sockets. The load is the same for all: libzmq's sockets, or
//! plain ones.

mod libzmq;
mod load;
pub mod plain;
mod service;
mod subject;

pub use libzmq::Libzmq;
pub use load::{Answered, Beats, Clients, EVENT_BYTES, Published, Requests, Subscribers};
pub use service::serve;
pub use subject::{MARKER_TOPIC, Subject, SubjectKind};
