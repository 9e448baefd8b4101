//! A network between a QUIC client and its server that loses, delays, doubles and reorders datagrams.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// Out of a thousand datagrams.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weather {
    pub(crate) lost: u32,
    pub(crate) doubled: u32,
    /// Held back for [`Self::delay`], so that later ones overtake them.
    pub(crate) late: u32,
    pub(crate) delay: Duration,
    /// Of the random numbers.
    pub(crate) seed: u64,
}

/// Ends when it is dropped.
pub(crate) struct Network {
    pub(crate) address: SocketAddr,
    is_cut: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

impl Network {
    pub(crate) async fn before(server: SocketAddr, weather: Weather) -> Self {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = socket.local_addr().unwrap();
        let is_cut = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        tasks.spawn(relay(socket, server, weather, Arc::clone(&is_cut)));
        Self {
            address,
            is_cut,
            _tasks: tasks,
        }
    }

    /// Nothing gets through any more.
    pub(crate) fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
    }
}

async fn relay(
    socket: Arc<UdpSocket>,
    server: SocketAddr,
    weather: Weather,
    is_cut: Arc<AtomicBool>,
) {
    let mut random = fastrand::Rng::with_seed(weather.seed);
    let mut clients: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut back = JoinSet::new();
    let mut datagram = vec![0; 65536];
    loop {
        // An ICMP message about an earlier datagram is no end.
        let Ok((count, from)) = socket.recv_from(&mut datagram).await else {
            continue;
        };
        if is_cut.load(Ordering::Relaxed) {
            continue;
        }
        let own = match clients.get(&from) {
            Some(own) => Arc::clone(own),
            None => {
                let own = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
                clients.insert(from, Arc::clone(&own));
                let seed = random.u64(..);
                let (socket, is_cut) = (Arc::clone(&socket), Arc::clone(&is_cut));
                let answering = Arc::clone(&own);
                back.spawn(answers(answering, socket, from, weather, seed, is_cut));
                own
            }
        };
        carry(&mut random, weather, own, server, &datagram[..count]).await;
    }
}

async fn answers(
    own: Arc<UdpSocket>,
    socket: Arc<UdpSocket>,
    client: SocketAddr,
    weather: Weather,
    seed: u64,
    is_cut: Arc<AtomicBool>,
) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut datagram = vec![0; 65536];
    loop {
        let Ok(count) = own.recv(&mut datagram).await else {
            continue;
        };
        if !is_cut.load(Ordering::Relaxed) {
            let socket = Arc::clone(&socket);
            carry(&mut random, weather, socket, client, &datagram[..count]).await;
        }
    }
}

async fn carry(
    random: &mut fastrand::Rng,
    weather: Weather,
    by: Arc<UdpSocket>,
    to: SocketAddr,
    datagram: &[u8],
) {
    let mut happens = |share: u32| random.u32(0..1000) < share;
    if happens(weather.lost) {
        return;
    }
    let count = if happens(weather.doubled) { 2 } else { 1 };
    for _ in 0..count {
        if happens(weather.late) {
            let (by, datagram) = (Arc::clone(&by), datagram.to_vec());
            tokio::spawn(async move {
                tokio::time::sleep(weather.delay).await;
                let _ = by.send_to(&datagram, to).await;
            });
        } else {
            let _ = by.send_to(datagram, to).await;
        }
    }
}
