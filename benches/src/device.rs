//! Device services under load: ours, the real one, bare libzmq sockets. The load is libzmq's too, the same for all.

mod libzmq;
mod load;
mod service;
mod subject;

pub use libzmq::Libzmq;
pub use load::{Answered, Beats, EVENT_BYTES, Published, Requests, Subscribers};
pub use service::serve;
pub use subject::{Subject, SubjectKind};
