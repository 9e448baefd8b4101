//! How a client's session is set up.

use std::time::Duration;

use bytes::Bytes;
use nnrp_wire::session::{ClientOptions, KnownExtensions, MonitorOptions};
use nnrp_wire::{ControlExtension, SplitLimits};

use crate::dial::DialPolicy;
use crate::probe::ProbeOptions;
use crate::proof::PROOF_EXTENSION_TYPE;

/// How a client's session is set up.
///
/// The protocol's part is [`ClientOptions`], with its own limits: the hello, timeouts, keep-alive, frames at most. What is
/// beside that is here.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// The protocol's part. [`ClientOptions::connect_timeout`] covers everything from dialling to the hello's answer.
    pub session: ClientOptions,
    /// Bytes of a result's body at most; what announces more ends the session, before any of it is kept; 32 MiB.
    pub result_bytes_max: u32,
    /// What may wait to be received.
    pub inbox: InboxLimits,
    /// Whether, and how, a session that has ended without being asked to is followed by a new one; not.
    pub reconnect: Option<ReconnectOptions>,
    /// Which transport is used, where connections are dialled; [`DialPolicy::Auto`].
    pub policy: DialPolicy,
    /// Whether, and how, transports are probed first; not. The better one is preferred then, whatever the policy says.
    pub probe: Option<ProbeOptions>,
    /// Whether, and how, the session's connection is watched; not.
    pub watch: Option<WatchOptions>,
    /// Events that are kept for each of those who watch ([`Session::events`](super::Session::events)); 16.
    pub events_max: usize,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            session: ClientOptions::default(),
            result_bytes_max: 32 << 20,
            inbox: InboxLimits::default(),
            reconnect: None,
            policy: DialPolicy::Auto,
            probe: None,
            watch: None,
            events_max: 16,
        }
    }
}

/// How much may wait to be received before nothing more is read from the connection. Then the server cannot send more
/// either, so that memory is bounded however slow the application is. What had been read by then is taken in nevertheless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboxLimits {
    /// Results, hints and ends of frames, at least 1; 4096.
    pub items_max: usize,
    /// Bytes of their bodies, and 512 more for each; 64 MiB.
    pub bytes_max: u64,
}

impl Default for InboxLimits {
    fn default() -> Self {
        Self {
            items_max: 4096,
            bytes_max: 64 << 20,
        }
    }
}

/// How a new session is begun when one has ended.
///
/// It is a new one, by a full hello: frames in flight end as [`ConnectionLost`](nnrp_wire::session::FrameOutcome), once
/// each, and cached objects are gone. New submits wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReconnectOptions {
    /// Before the first attempt, at most; doubles with each, and with each session that ends within `backoff_max`; 100 ms.
    pub backoff_min: Duration,
    /// Between two attempts at most; 10 s.
    pub backoff_max: Duration,
    /// Attempts in a row at most, before the session has ended for good; `None` is any number; 10.
    pub attempts_max: Option<u32>,
}

impl Default for ReconnectOptions {
    fn default() -> Self {
        Self {
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
            attempts_max: Some(10),
        }
    }
}

/// How a session's connection is watched. What is bad about it is told by
/// [`SessionEvent::Degraded`](super::SessionEvent::Degraded).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WatchOptions {
    /// What is bad. [`MonitorOptions::throughput_min`] needs probes.
    pub monitor: MonitorOptions,
    /// Between two samples; 1 s.
    pub interval: Duration,
    /// For the answer to a sample; without one it has timed out; 1 s.
    pub timeout: Duration,
    /// Bytes of a probe for each sample; `None` is a PING, which the reference does not answer.
    pub probe_bytes: Option<u32>,
    /// Whether the session is moved to the other transport when it is time; no. Only sessions that can dial do that.
    pub migrates: bool,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self {
            monitor: MonitorOptions::default(),
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            probe_bytes: None,
            migrates: false,
        }
    }
}

impl ConnectOptions {
    /// The same with this auth block.
    #[must_use]
    pub fn with_auth(mut self, auth: impl Into<Bytes>) -> Self {
        self.session.hello.auth = auth.into();
        self
    }

    /// The same with a model that is asked for. By the reference's custom that is the auth block, so that there is either
    /// this or [`Self::with_auth`]. spec: nnrp-session 2.2
    #[must_use]
    pub fn with_requested_model(self, model: &str) -> Self {
        self.with_auth(model.to_owned())
    }

    /// The same with a session id that is asked for; 0 leaves it to the server. Another one than asked for may come.
    #[must_use]
    pub const fn with_requested_session_id(mut self, session_id: u32) -> Self {
        self.session.hello.metadata.requested_session_id = session_id;
        self
    }

    /// The same with one more extension of the hello: a transport policy, for instance.
    #[must_use]
    pub fn with_extension(mut self, extension: ControlExtension) -> Self {
        self.session.hello.extensions.push(extension);
        self
    }

    /// The same, with a PING when nothing was sent for so long.
    #[must_use]
    pub const fn with_keep_alive(mut self, interval: Duration) -> Self {
        self.session.liveness.keep_alive = Some(interval);
        self
    }

    /// The same with this time for connecting, from dialling to the hello's answer.
    #[must_use]
    pub const fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.session.connect_timeout = timeout;
        self
    }

    /// The same with this policy.
    #[must_use]
    pub const fn with_policy(mut self, policy: DialPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The same, with transports probed first.
    #[must_use]
    pub fn with_probe(mut self, probe: ProbeOptions) -> Self {
        self.probe = Some(probe);
        self
    }

    /// The same, with the session's connection watched.
    #[must_use]
    pub const fn with_watch(mut self, watch: WatchOptions) -> Self {
        self.watch = Some(watch);
        self
    }

    /// The same, going on with a new session when one has ended.
    #[must_use]
    pub const fn with_reconnect(mut self, reconnect: ReconnectOptions) -> Self {
        self.reconnect = Some(reconnect);
        self
    }

    pub(super) const fn split_limits(&self) -> SplitLimits {
        SplitLimits::session(self.result_bytes_max)
    }

    /// For the machine, with so much time left to connect.
    pub(super) fn machine_options(&self, connect_timeout: Duration) -> ClientOptions {
        let mut options = ClientOptions {
            connect_timeout,
            ..self.session.clone()
        };
        let KnownExtensions { control, .. } = &mut options.extensions;
        if let Some(known) = control {
            known.push(PROOF_EXTENSION_TYPE);
        }
        options
    }
}
