//! What can be chosen for a socket.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use omq_tokio::{
    AuthenticationResult, Authenticator, CurveServerOptions, MechanismPeerInfo, MechanismSetup,
    Options, Payload, ReconnectPolicy, SubscriptionRequest,
};

use super::keys::{KeyPair, PublicKey};

/// Options of one socket, whatever its kind; each kind uses those that concern it.
#[derive(Debug, Clone)]
pub struct SocketOptions {
    /// Messages that wait for one subscriber, or at one receiver, before further ones are lost for it. The library does not
    /// tell which: at full speed with the default, eight subscribers on two cores lost about half of 1.2 million events.
    pub high_water_mark: u32,
    /// Bytes of all frames of a message; a peer that sends more is disconnected before anything is allocated.
    pub message_bytes_max: usize,
    /// Frames of a message that is as long as allowed.
    pub frames_max: usize,
    /// How long a connection may take until it can be used.
    pub handshake_timeout: Duration,
    /// Connections that have not got so far yet.
    pub pending_handshakes_max: usize,
    /// Connections of a bound socket; further ones are closed at once.
    pub connections_max: usize,
    /// Bytes that wait for one subscriber beside the high-water mark's messages.
    pub subscriber_bytes_max: usize,
    /// Bytes of a subscribed prefix; longer subscriptions are not admitted.
    pub subscription_bytes_max: usize,
    /// How long `close` may take to hand over what is still queued.
    pub linger: Duration,
    /// Whether this side asks its peers for signs of life. It answers theirs in any case.
    pub heartbeats: Option<Heartbeats>,
    /// First and longest wait before a connection is tried again.
    pub reconnect_backoff: (Duration, Duration),
    /// Who may talk to whom.
    pub security: Security,
}

impl Default for SocketOptions {
    /// 1000 messages, 1 MiB and 16 frames per message, 2 s and 1024 pending handshakes, 1024 connections, 64 MiB per
    /// subscriber, prefixes of a topic, 1 s of linger, no heartbeats, 100 ms to 5 s between attempts, no security.
    fn default() -> Self {
        Self {
            high_water_mark: 1000,
            message_bytes_max: 1 << 20,
            frames_max: 16,
            handshake_timeout: Duration::from_secs(2),
            pending_handshakes_max: 1024,
            connections_max: 1024,
            subscriber_bytes_max: 64 << 20,
            subscription_bytes_max: 4,
            linger: Duration::from_secs(1),
            heartbeats: None,
            reconnect_backoff: (Duration::from_millis(100), Duration::from_secs(5)),
            security: Security::None,
        }
    }
}

/// Signs of life that this side asks for. Peers that announce ZMTP 3.0 are not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeats {
    /// How often.
    pub interval: Duration,
    /// How long a silent peer stays connected.
    pub timeout: Duration,
}

/// Who may talk to whom.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Security {
    /// Anybody, in clear text: what the peers speak. For loopback and networks that are closed.
    #[default]
    None,
    /// CURVE, the bound side: clients must know the public key of this pair, and be allowed.
    CurveServer {
        /// The service's keys.
        keys: KeyPair,
        /// Whose connections are admitted.
        allowed: AllowedClients,
    },
    /// CURVE, the connecting side.
    CurveClient {
        /// The client's keys.
        keys: KeyPair,
        /// The service's public key.
        server: PublicKey,
    },
}

/// Which clients a CURVE server admits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedClients {
    /// Everyone who knows the server's public key.
    Any,
    /// These; none, if empty.
    Only(HashSet<PublicKey>),
}

impl AllowedClients {
    fn admits(&self, key: &[u8; 32]) -> bool {
        match self {
            Self::Any => true,
            Self::Only(keys) => keys.contains(&PublicKey(*key)),
        }
    }
}

/// Events that the monitor may lag behind, before the connections are counted anew.
const MONITOR_EVENTS_MAX: usize = 4096;

impl SocketOptions {
    pub(super) fn for_library(&self) -> Options {
        let (min, max) = self.reconnect_backoff;
        let prefix_bytes_max = self.subscription_bytes_max;
        let admit =
            move |request: &SubscriptionRequest<'_>| request.prefix.len() <= prefix_bytes_max;
        let options = Options::default()
            .send_hwm(self.high_water_mark)
            .recv_hwm(self.high_water_mark)
            .max_message_size(self.counted_bytes_max())
            .transmit_slot_cap(self.subscriber_bytes_max)
            .linger(self.linger)
            .handshake_timeout(self.handshake_timeout)
            .max_pending_handshakes(self.pending_handshakes_max)
            .monitor_capacity(MONITOR_EVENTS_MAX)
            .reconnect(ReconnectPolicy::Exponential { min, max })
            .subscription_admission(admit)
            // So that a reply to a client that is gone, or does not read, is told instead of lost.
            .router_mandatory(true);
        self.secured(self.with_heartbeats(options))
    }

    /// For a socket that tells its peers apart by names which they may choose. The library lets whoever comes last have
    /// the name, if it is the same user; so each connection is a user of its own, and the first keeps it, as with libzmq.
    /// With CURVE, a client's key is its user, which may take its own name over.
    pub(super) fn for_library_without_handover(&self) -> Options {
        let mut options = self.for_library();
        if matches!(self.security, Security::None) {
            let connections = AtomicU64::new(0);
            let admit = move |_: &MechanismPeerInfo| {
                let connection = connections.fetch_add(1, Ordering::Relaxed);
                AuthenticationResult::allow().with_user_id(connection.to_be_bytes().to_vec())
            };
            let authenticator = Authenticator::new_with_result(admit);
            options.mechanism = MechanismSetup::NullServer { authenticator };
        }
        options
    }

    /// The library counts its own bookkeeping per frame too.
    fn counted_bytes_max(&self) -> usize {
        let bookkeeping = self.frames_max.saturating_mul(size_of::<Payload>());
        self.message_bytes_max.saturating_add(bookkeeping)
    }

    fn with_heartbeats(&self, options: Options) -> Options {
        match self.heartbeats {
            Some(Heartbeats { interval, timeout }) => options
                .heartbeat_interval(interval)
                .heartbeat_timeout(timeout)
                .heartbeat_ttl(timeout),
            None => options,
        }
    }

    fn secured(&self, options: Options) -> Options {
        match &self.security {
            Security::None => options,
            Security::CurveServer { keys, allowed } => {
                let allowed = allowed.clone();
                let admit = move |peer: &MechanismPeerInfo| allowed.admits(&peer.public_key);
                let server = CurveServerOptions::new().authenticator(admit);
                options.curve_server_with_options(keys.for_library(), server)
            }
            Security::CurveClient { keys, server } => {
                options.curve_client(keys.for_library(), server.for_library())
            }
        }
    }
}
