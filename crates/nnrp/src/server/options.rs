//! How a server is set up.

use std::time::Duration;

use nnrp_wire::session::{self, LivenessOptions};

use super::hello::HelloHook;

/// How a server is set up. Everything that can grow has a limit here, or in [`Self::session`].
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct ServerOptions {
    /// What each session can, what it allows, and how much it keeps.
    ///
    /// It enforces budgets: a frame that says how many ms it may take is dropped when they are over, as the budget is a
    /// contract. The 50 ms that clients of the reference name in every hello are none: only what a submit says counts, and
    /// theirs say nothing unless their application wants it.
    pub session: session::ServerOptions,
    /// Who gets a session; everybody.
    pub on_hello: HelloHook,
    /// Connections that have no session yet, at most; 1024. When one more comes, the oldest gives way that has sent no whole
    /// packet, so that silent connections do not keep others out; if there is none, the oldest that has not said hello. Only
    /// if all have, and their hellos are being decided on, the new one is told that the server is busy.
    pub handshakes_max: usize,
    /// Sessions at most, with those that nobody has taken yet. Further clients are told that the server is busy; 1024.
    pub sessions_max: usize,
    /// Bytes of a session's input that nobody has taken, before no more is read from its client; 64 MiB. What came with the
    /// same read, and one packet more, may be taken in below that. Each frame counts 512 bytes more than its body, and each
    /// section or object 128.
    pub input_bytes_max: u64,
    /// The same for all sessions together: above that, sessions that have something are not read from; 1 GiB.
    pub total_input_bytes_max: u64,
    /// Bytes of the bodies of messages that wait to be sent, in all sessions together: above that, sessions of which some wait
    /// are not read from, and their results that are not the last of a frame wait, too; 1 GiB.
    ///
    /// The last result of each frame is always taken, so that one session whose client reads nothing can hold
    /// [`transmits_bytes_max`](session::ServerOptions::transmits_bytes_max), one message more, and the last result of each
    /// frame that is in flight, which are at most [`frames_max`](session::ServerOptions::frames_max): with results of 1 MiB,
    /// 64 MiB and 256 MiB. If that is too much, allow fewer frames. All sessions can hold this limit, and beyond it the last
    /// results of their frames in flight.
    pub total_output_bytes_max: u64,
    /// Bytes of a body that are read at all. Bodies between what a session takes and this are refused frame by frame; above
    /// this, the connection ends; 64 MiB.
    pub read_body_bytes_max: u32,
    /// When clients that found the server busy are to try again; 1 s.
    pub busy_retry: Duration,
    /// Whether frames are dropped before they are begun, where their loss tolerance allows that and they would be late; yes.
    pub drops_early: bool,
    /// Whether a RESULT_HINT tells why a frame is dropped, as RESULT_DROP cannot, also where its budget ends it; yes. Clients of the reference bear it unless
    /// they wait for a flow update just then.
    pub explains_drops: bool,
    /// Whether a client may move its session by a TLS certificate that is the one it began with, without the session's
    /// token; no. Where clients share a certificate, any of them could take another's session so: switch it on only where
    /// each has its own.
    pub moves_by_certificate: bool,
    /// Whether anybody who knows a session's id may move it, if they send no proof at all; no. Clients of the reference
    /// cannot prove anything, so that their migrations need this.
    pub allows_unproven_migration: bool,
}

/// Clients of the reference end a TCP connection after 10 s without a packet.
const KEEP_ALIVE: Duration = Duration::from_secs(3);

impl Default for ServerOptions {
    /// As each field says; and [`Self::session`] has a keep-alive every 3 s, as clients of the reference need one.
    fn default() -> Self {
        Self {
            session: session::ServerOptions {
                liveness: LivenessOptions {
                    keep_alive: Some(KEEP_ALIVE),
                    ..LivenessOptions::default()
                },
                ..session::ServerOptions::default()
            },
            on_hello: HelloHook::default(),
            handshakes_max: 1024,
            sessions_max: 1024,
            input_bytes_max: 64 << 20,
            total_input_bytes_max: 1 << 30,
            total_output_bytes_max: 1 << 30,
            read_body_bytes_max: 64 << 20,
            busy_retry: Duration::from_secs(1),
            drops_early: true,
            explains_drops: true,
            moves_by_certificate: false,
            allows_unproven_migration: false,
        }
    }
}
