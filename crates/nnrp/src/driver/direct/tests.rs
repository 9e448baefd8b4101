//! A stream that fails whoever writes to it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use nnrp_wire::TransportId;
use nnrp_wire::session::{ClientEvent, ClientOptions, ClientSession, PathId};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::driver::{App, Clock, Driver, PathTasks, Step};
use crate::link::Link;

struct Panicking;

impl AsyncRead for Panicking {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Panicking {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        panic!("as it is to")
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct Client(mpsc::Sender<ClientEvent>);

impl App for Client {
    type Machine = ClientSession;

    fn handle(&mut self, event: ClientEvent, _: &mut ClientSession, _: Duration) -> Step {
        let is_end = matches!(event, ClientEvent::Closed | ClientEvent::Failed(_));
        self.0.try_send(event).unwrap();
        if is_end { Step::End } else { Step::Go }
    }

    fn is_full(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn a_stream_that_panics_is_the_loss_of_its_link() {
    let (sender, mut events) = mpsc::channel(16);
    let client = Driver::start(
        ClientSession::new(ClientOptions::default()),
        Client(sender),
        Clock::start(),
    );
    client.add_link(
        PathId(1),
        Link::from_stream(Panicking),
        PathTasks::default(),
    );
    let is_idle = || {
        let state = client.shared.lock();
        state.paths.iter().any(|path| path.idle.is_some())
    };
    while !is_idle() {
        tokio::task::yield_now().await;
    }
    client
        .with(|machine, _, now| machine.connected(PathId(1), TransportId::Tcp, now))
        .unwrap();
    let limit = Duration::from_secs(60);
    let end = timeout(limit, events.recv()).await.unwrap();
    assert!(matches!(end, Some(ClientEvent::Failed(_))), "{end:?}");
    timeout(limit, client.ended()).await.unwrap();
}
