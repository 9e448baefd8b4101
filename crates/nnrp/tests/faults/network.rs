//! QUIC over a network that loses, doubles, delays and reorders datagrams, in real time.

use std::net::SocketAddr;
use std::time::Duration;

use nnrp::client::Session;
use nnrp::server::Server;
use nnrp::{
    ClientTls, DialOptions, Dialer, Endpoint, Link, Listener, ListenerOptions, ServerTls,
    TransportId,
};
use tokio::time::Instant;

use crate::echo::{check_counts, connect_options, echo_server, run, soon};
use crate::udp::{Network, Weather};

/// A server on TCP and QUIC, and what its clients need.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) dialer: Dialer,
}

impl Served {
    pub(crate) async fn start(server: Server) -> Self {
        let made = ServerTls::self_signed(["localhost"]).unwrap();
        let tls = ClientTls::with_authority(made.certificate_pem.as_bytes()).unwrap();
        let options = ListenerOptions::tls("127.0.0.1:0".parse().unwrap(), made.tls);
        let listener = Listener::bind(options).await.unwrap();
        let address = listener.local_addr();
        tokio::spawn(async move {
            while let Ok(link) = listener.accept().await {
                server.adopt_link(link);
            }
        });
        let dialer = Dialer::new(DialOptions::tls(tls.with_server_name("localhost").unwrap()));
        Self { address, dialer }
    }

    pub(crate) async fn dial(&self, transport: TransportId, address: SocketAddr) -> Link {
        let endpoint = Endpoint::tls("127.0.0.1", address.port()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        self.dialer
            .dial(&endpoint, transport, deadline)
            .await
            .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_and_reordered_datagrams_lose_no_frame() {
    let served = Served::start(echo_server()).await;
    let weathers = [
        Weather {
            lost: 30,
            seed: 1,
            ..Weather::default()
        },
        Weather {
            late: 200,
            delay: Duration::from_millis(5),
            seed: 2,
            ..Weather::default()
        },
        Weather {
            lost: 10,
            doubled: 50,
            late: 50,
            delay: Duration::from_millis(10),
            seed: 3,
        },
    ];
    for weather in weathers {
        let network = Network::before(served.address, weather).await;
        let link = served.dial(TransportId::Quic, network.address).await;
        let session = Session::over(link, connect_options()).await.unwrap();
        let tally = run(&session, 1..65, 8 << 10).await;
        assert_eq!(tally.completed, 64, "{weather:?} {tally:?}");
        check_counts(&session, &tally);
        soon("the close", session.close("done")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_is_gone_ends_every_frame() {
    let served = Served::start(echo_server()).await;
    let network = Network::before(served.address, Weather::default()).await;
    let link = served.dial(TransportId::Quic, network.address).await;
    let mut options = connect_options();
    options.session.liveness.idle_timeout = Some(Duration::from_secs(1));
    let session = Session::over(link, options).await.unwrap();
    let before = run(&session, 1..9, 1024).await;
    assert_eq!(before.completed, 8);
    network.cut();
    let after = run(&session, 9..25, 1024).await;
    assert_eq!(after.lost + after.not_submitted, 16, "{after:?}");
    let frames = session.counters().frames;
    assert_eq!(frames.submitted, frames.done_total(), "{frames:?}");
    soon("the end", session.closed()).await;
}
