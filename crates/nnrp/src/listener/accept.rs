//! The tasks behind a listener.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::handshakes::{Handshake, Handshakes};
use super::stats::{Counters, count};
use super::{ListenerError, ListenerOptions};
use crate::driver::later;
use crate::link::{Link, Place, QuicOptions};
use crate::tls::ALPN_TCP;

/// How long after an error of the system the next connection is asked for: it may be out of files.
const ERROR_PAUSE: Duration = Duration::from_millis(50);

#[derive(Clone)]
pub(super) struct Acceptor {
    links: mpsc::Sender<Link>,
    counters: Arc<Counters>,
    handshakes: Handshakes,
    handshake_timeout: Duration,
    tls: Option<TlsAcceptor>,
    quic: Arc<QuicOptions>,
    closing: CancellationToken,
}

impl Acceptor {
    pub(super) fn new(
        options: &ListenerOptions,
        links: mpsc::Sender<Link>,
        counters: Arc<Counters>,
        closing: CancellationToken,
    ) -> Result<Self, ListenerError> {
        Ok(Self {
            links,
            counters,
            handshakes: Handshakes::new(options.handshakes_max),
            handshake_timeout: options.handshake_timeout,
            tls: options.tcp_config()?.map(TlsAcceptor::from),
            quic: Arc::new(options.quic_options.clone()),
            closing,
        })
    }

    /// They end when the listener is closed.
    pub(super) fn spawn(self, tcp: Option<TcpListener>, quic: Option<quinn::Endpoint>) {
        if let Some(tcp) = tcp {
            tokio::spawn(self.clone().accept_tcp(tcp));
        }
        if let Some(quic) = quic {
            tokio::spawn(self.accept_quic(quic));
        }
    }

    async fn accept_tcp(self, listener: TcpListener) {
        while let Some(accepted) = self.closing.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, remote)) => {
                    let begun = self.begin_tcp(stream, remote);
                    if self.closing.run_until_cancelled(begun).await.is_none() {
                        return;
                    }
                }
                Err(error) => {
                    count(&self.counters.accept_errors);
                    tracing::warn!(%error, "a connection cannot be taken");
                    sleep(ERROR_PAUSE).await;
                }
            }
        }
    }

    async fn begin_tcp(&self, stream: TcpStream, remote: SocketAddr) {
        let Some(place) = self.counters.places.take() else {
            return count(&self.counters.refused_connections);
        };
        // It fails where the other side is gone already, which reading tells.
        let _ = stream.set_nodelay(true);
        let Some(tls) = self.tls.clone() else {
            let link = Link::from_tcp(stream, remote).with_place(place);
            return self.hand_over(link, &self.counters.accepted_tcp).await;
        };
        let handshake = async move {
            let stream = tls.accept(stream).await.ok()?;
            let is_nnrp = stream.get_ref().1.alpn_protocol() == Some(ALPN_TCP);
            is_nnrp.then(|| Link::from_tls(stream.into(), remote))
        };
        let acceptor = self.clone();
        let running = self.handshakes.begin();
        tokio::spawn(async move {
            let counter = &acceptor.counters.accepted_tcp;
            acceptor.run(handshake, place, &running, counter).await;
        });
    }

    async fn accept_quic(self, endpoint: quinn::Endpoint) {
        while let Some(Some(incoming)) = self.closing.run_until_cancelled(endpoint.accept()).await {
            self.begin_quic(incoming);
        }
        // No more links come of it.
        drop(self);
        // Whoever comes later is told, as long as the socket is there for the others.
        let refuse = async {
            while let Some(incoming) = endpoint.accept().await {
                incoming.refuse();
            }
        };
        tokio::select! {
            () = refuse => {}
            () = endpoint.wait_idle() => {}
        }
    }

    fn begin_quic(&self, incoming: quinn::Incoming) {
        if self.handshakes.is_busy() && incoming.may_retry() {
            // It fails only where it may not.
            let _ = incoming.retry();
            return;
        }
        let Some(place) = self.counters.places.take() else {
            incoming.refuse();
            return count(&self.counters.refused_connections);
        };
        let options = Arc::clone(&self.quic);
        let handshake = async move {
            let connection = incoming.await.ok()?;
            Some(Link::from_quic(&connection, &options))
        };
        let acceptor = self.clone();
        let running = self.handshakes.begin();
        tokio::spawn(async move {
            let counter = &acceptor.counters.accepted_quic;
            acceptor.run(handshake, place, &running, counter).await;
        });
    }

    async fn run(
        &self,
        handshake: impl Future<Output = Option<Link>>,
        place: Place,
        running: &Handshake,
        accepted: &AtomicU64,
    ) {
        let deadline = later(Instant::now(), self.handshake_timeout);
        let ended = tokio::select! {
            ended = timeout_at(deadline, handshake) => ended,
            () = running.given_up() => return count(&self.counters.displaced_handshakes),
        };
        match ended {
            Ok(Some(link)) => self.hand_over(link.with_place(place), accepted).await,
            Ok(None) => count(&self.counters.failed_handshakes),
            Err(_) => count(&self.counters.slow_handshakes),
        }
    }

    async fn hand_over(&self, link: Link, accepted: &AtomicU64) {
        if self.links.send(link).await.is_ok() {
            count(accepted);
        }
    }
}
