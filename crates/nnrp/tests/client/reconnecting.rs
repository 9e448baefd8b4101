//! How a lost session is replaced, and how connections end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nnrp::Link;
use nnrp::client::{ConnectOptions, Connector, ReconnectOptions, Session};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

use super::peer::{LONG, Peer, connected_by, submit_of};

/// A server that takes sessions and ends them is not asked ten times a second.
#[tokio::test(start_paused = true)]
async fn sessions_that_end_at_once_are_not_replaced_in_a_hurry() {
    let count = Arc::new(AtomicUsize::new(0));
    let connects = Arc::clone(&count);
    let connector = Connector::new(move |_| {
        connects.fetch_add(1, Ordering::Relaxed);
        let (near, far) = tokio::io::duplex(64 << 10);
        tokio::spawn(async move {
            let mut peer = Peer::new(far);
            peer.accept(4).await;
            sleep(Duration::from_millis(10)).await;
        });
        std::future::ready(Ok::<_, std::io::Error>(Link::from_stream(near)))
    });
    let options = ConnectOptions::default().with_reconnect(ReconnectOptions::default());
    let session = Session::connect_with(connector, options).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert!(session.end().is_none());
    let count = count.load(Ordering::Relaxed);
    assert!((5..30).contains(&count), "{count} connections");
    session.close("enough").await;
}

/// A socket that is closed with something to read in it is reset, and its rest is lost.
#[tokio::test(start_paused = true)]
async fn a_closed_link_is_read_from_while_it_is_written_to() {
    let (session, peer) = connected_by(256, 4, ConnectOptions::default()).await;
    session.submit(submit_of(1, 10_000)).await.unwrap();
    drop(session);
    let (mut read, mut write) = tokio::io::split(peer.io);
    let reading = tokio::spawn(async move {
        let (mut total, mut bytes) = (0, [0; 256]);
        loop {
            sleep(Duration::from_millis(500)).await;
            match read.read(&mut bytes).await.unwrap() {
                0 => return total,
                count => total += count,
            }
        }
    });
    // By then it is closed, and half of the frame is there.
    sleep(Duration::from_secs(10)).await;
    let writing = timeout(Duration::from_secs(5), write.write_all(&[0; 2000])).await;
    writing.expect("nobody reads").unwrap();
    assert!(timeout(LONG, reading).await.unwrap().unwrap() > 10_000);
}

#[tokio::test]
async fn what_a_connection_does_not_take_is_counted() {
    let (session, peer) = connected_by(256, 4, ConnectOptions::default()).await;
    session.submit(submit_of(1, 10_000)).await.unwrap();
    drop(peer);
    timeout(LONG, session.closed()).await.unwrap();
    let traffic = session.counters().traffic;
    assert!((9_000..11_000).contains(&traffic.cut_bytes), "{traffic:?}");
    assert!(traffic.cut_bytes < traffic.sent_bytes, "{traffic:?}");
}
