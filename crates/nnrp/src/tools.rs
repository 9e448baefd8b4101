//! For programs that look at NNRP rather than speak it: packets as they are, a relay that shows what goes by, recorded
//! sessions that are played again, and the smallest exchange there is. `nodewire nnrp` is made of these.

mod play;
mod raw;
mod relay;
mod single;
mod smoke;

pub use self::play::{
    Compare, Difference, DifferenceKind, Pace, PlayOptions, PlayReport, SessionIds, Step, play,
};
pub use self::raw::{RawLink, RawReader, RawWriter};
pub use self::relay::{RelayEnd, RelayOptions, Side, relay};
pub use self::smoke::{
    SmokeClientOptions, SmokeError, SmokeHello, SmokeTranscript, smoke_client, smoke_hello_server,
    smoke_server,
};
