//! How QUIC connections are to be. spec: nnrp-session 1.4

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use quinn::{EndpointConfig, MtuDiscoveryConfig, TokioRuntime, TransportConfig};
use socket2::{Domain, Protocol, Socket, Type};

/// Settings of QUIC connections.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuicOptions {
    /// A connection on which nothing comes for so long is lost; the lower one of both sides counts. 120 s, as the reference
    /// has it, unless set.
    pub idle_timeout: Duration,
    /// How often something is sent where there is nothing to send, so that the connection does not idle; never unless set.
    pub keep_alive: Option<Duration>,
    /// Streams that the other side may have open, each with a packet that has not been read: 256 unless set.
    pub streams_max: u32,
    /// Bytes of one stream that are not read yet: 2 MiB unless set.
    pub stream_window_bytes: u32,
    /// Bytes of all streams that are not read yet: 16 MiB unless set. What the application does not take in is held here,
    /// for each connection.
    pub window_bytes: u32,
    /// Bytes of packets that are read in part, on all streams of a connection: 256 MiB unless set. With more, the connection
    /// is given up. Each of them is within the limits of its session; this bounds how many a sender may begin at once.
    pub begun_bytes_max: u64,
    /// Bytes that are written and not acknowledged: 16 MiB unless set.
    pub send_window_bytes: u32,
    /// Bytes that the largest UDP payload may have, found out by trying; from 1200 to 6500. 6 KiB unless set, which networks
    /// with jumbo frames take, and loopback.
    pub udp_payload_bytes_max: u16,
    /// Bytes that the system is asked to buffer for each UDP socket and direction; it may give less. 8 MiB unless set.
    pub socket_buffer_bytes: usize,
}

impl Default for QuicOptions {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(120),
            keep_alive: None,
            streams_max: 256,
            stream_window_bytes: 2 << 20,
            window_bytes: 16 << 20,
            begun_bytes_max: 256 << 20,
            send_window_bytes: 16 << 20,
            udp_payload_bytes_max: 6 << 10,
            socket_buffer_bytes: 8 << 20,
        }
    }
}

/// Ten of them are handed to the system at once, and lost without a word if they have more than 65,507 bytes.
const UDP_PAYLOAD_BYTES_MAX: u16 = 6500;

/// The least that QUIC needs.
const UDP_PAYLOAD_BYTES_MIN: u16 = 1200;

/// The reference uses one.
const CONTROL_STREAMS_MAX: u32 = 16;

/// What the reference announces; nothing of NNRP is in datagrams.
const DATAGRAM_BYTES: usize = 65_536;

impl QuicOptions {
    pub(crate) fn transport(&self) -> Arc<TransportConfig> {
        let mut mtu = MtuDiscoveryConfig::default();
        mtu.upper_bound(self.udp_payload_bytes_max());
        let mut config = TransportConfig::default();
        config
            .max_idle_timeout(self.idle_timeout.try_into().ok())
            .keep_alive_interval(self.keep_alive)
            .max_concurrent_bidi_streams(CONTROL_STREAMS_MAX.into())
            .max_concurrent_uni_streams(self.streams_max.into())
            .stream_receive_window(self.stream_window_bytes.into())
            .receive_window(self.window_bytes.into())
            .send_window(self.send_window_bytes.into())
            .send_fairness(false)
            .datagram_receive_buffer_size(Some(DATAGRAM_BYTES))
            .mtu_discovery_config(Some(mtu));
        Arc::new(config)
    }

    /// One socket, for any number of connections.
    pub(crate) fn endpoint(
        &self,
        address: SocketAddr,
        server: Option<quinn::ServerConfig>,
    ) -> io::Result<quinn::Endpoint> {
        let mut config = EndpointConfig::default();
        config
            .max_udp_payload_size(self.udp_payload_bytes_max())
            .map_err(io::Error::other)?;
        let socket = self.socket(address)?;
        quinn::Endpoint::new(config, server, socket, Arc::new(TokioRuntime))
    }

    fn udp_payload_bytes_max(&self) -> u16 {
        self.udp_payload_bytes_max
            .clamp(UDP_PAYLOAD_BYTES_MIN, UDP_PAYLOAD_BYTES_MAX)
    }

    fn socket(&self, address: SocketAddr) -> io::Result<UdpSocket> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        // Without it, less can be in flight.
        let _ = socket.set_recv_buffer_size(self.socket_buffer_bytes);
        let _ = socket.set_send_buffer_size(self.socket_buffer_bytes);
        socket.bind(&address.into())?;
        Ok(socket.into())
    }
}
