//! What the two sides of a session have in common.

use std::time::Duration;

use nnrp_wire::Packet;
use nnrp_wire::session::{
    ClientEvent, ClientSession, ClientState, HandleError, PathEnd, PathId, ServerEvent,
    ServerSession, ServerState, Transmit,
};

/// A session's machine; see [`nnrp_wire::session`].
pub(crate) trait Machine: Send + 'static {
    type Event: Send;

    fn handle_packet(
        &mut self,
        path: PathId,
        packet: &Packet,
        now: Duration,
    ) -> Result<(), HandleError>;
    fn handle_path_end(
        &mut self,
        path: PathId,
        end: PathEnd,
        now: Duration,
    ) -> Result<(), HandleError>;
    fn excuse_silence(&mut self, now: Duration);
    fn handle_timeout(&mut self, now: Duration);
    fn next_timeout(&self) -> Option<Duration>;
    fn has_transmit(&self) -> bool;
    fn poll_transmit(&mut self, now: Duration) -> Option<Transmit>;
    fn poll_event(&mut self) -> Option<Self::Event>;
    fn primary_path(&self) -> Option<PathId>;
    /// Whether so little is under way that nothing is gained by waiting for more to send.
    fn is_quiet(&self) -> bool;
    fn is_over(&self) -> bool;
}

/// What one side does with what happens. It is called with the session locked: it must be quick, and not wait.
pub(crate) trait App: Send + 'static {
    type Machine: Machine;

    fn handle(
        &mut self,
        event: <Self::Machine as Machine>::Event,
        machine: &mut Self::Machine,
        now: Duration,
    ) -> Step;

    /// Whether no more packets are to be read, as the ones before have not been taken.
    fn is_full(&self) -> bool;

    /// Whether what has come is worth taking after its connection broke, however long the application takes: answers are,
    /// what asks for an answer is not.
    fn wants_rest(&self) -> bool {
        false
    }
}

/// What follows of an event for the links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing.
    Go,
    /// One is to be closed, once what waits is sent.
    ClosePath(PathId),
    /// All are.
    End,
}

macro_rules! machine {
    ($machine:ty, $event:ty, $closed:pat, |$session:ident| $primary:expr) => {
        impl Machine for $machine {
            type Event = $event;

            fn handle_packet(
                &mut self,
                path: PathId,
                packet: &Packet,
                now: Duration,
            ) -> Result<(), HandleError> {
                self.handle_packet(path, packet, now)
            }

            fn handle_path_end(
                &mut self,
                path: PathId,
                end: PathEnd,
                now: Duration,
            ) -> Result<(), HandleError> {
                self.handle_path_end(path, end, now)
            }

            fn excuse_silence(&mut self, now: Duration) {
                self.excuse_silence(now);
            }

            fn handle_timeout(&mut self, now: Duration) {
                self.handle_timeout(now);
            }

            fn next_timeout(&self) -> Option<Duration> {
                self.next_timeout()
            }

            fn has_transmit(&self) -> bool {
                self.has_transmit()
            }

            fn poll_transmit(&mut self, now: Duration) -> Option<Transmit> {
                self.poll_transmit(now)
            }

            fn poll_event(&mut self) -> Option<$event> {
                self.poll_event()
            }

            fn primary_path(&self) -> Option<PathId> {
                let $session = self;
                $primary
            }

            fn is_quiet(&self) -> bool {
                self.frames().in_flight <= 1
            }

            fn is_over(&self) -> bool {
                matches!(self.state(), $closed)
            }
        }
    };
}

machine!(
    ClientSession,
    ClientEvent,
    ClientState::Closed | ClientState::Failed,
    |session| session.primary_path()
);
machine!(
    ServerSession,
    ServerEvent,
    ServerState::Closed | ServerState::Failed,
    |session| Some(session.primary_path())
);
