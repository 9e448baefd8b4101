//! A client and a server over a pipe.

use std::time::Duration;

use bytes::Bytes;
use nnrp_wire::SplitLimits;
use nnrp_wire::session::{
    ClientEvent, ClientOptions, ClientSession, ConnectionEvent, PathId, ServerConnection,
    ServerEvent, ServerOptions, ServerSession,
};
use nnrp_wire::{ServerHelloAck, TransportId};
use tokio::sync::mpsc;

use super::path::PathTasks;
use super::{App, Clock, Driver, Step};
use crate::link::Link;

struct Client(mpsc::Sender<ClientEvent>);

impl App for Client {
    type Machine = ClientSession;

    fn handle(&mut self, event: ClientEvent, _: &mut ClientSession, _: Duration) -> Step {
        let is_end = matches!(event, ClientEvent::Closed | ClientEvent::Failed(_));
        self.0.try_send(event).unwrap();
        if is_end { Step::End } else { Step::Go }
    }

    fn is_full(&self) -> bool {
        self.0.capacity() == 0
    }
}

struct Server;

impl App for Server {
    type Machine = ServerSession;

    fn handle(&mut self, event: ServerEvent, _: &mut ServerSession, _: Duration) -> Step {
        let is_end = matches!(event, ServerEvent::Closed | ServerEvent::Failed(_));
        if is_end { Step::End } else { Step::Go }
    }

    fn is_full(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn a_session_begins_and_ends() {
    let (near, far) = tokio::io::duplex(1000);
    let (sender, mut events) = mpsc::channel(16);
    let client = Driver::start(
        ClientSession::new(ClientOptions::default()),
        Client(sender),
        Clock::start(),
    );
    client.add_link(PathId(1), Link::from_stream(near), PathTasks::default());
    let connected =
        client.with(|machine, _, now| machine.connected(PathId(1), TransportId::Tcp, now));
    connected.unwrap();

    let mut link = Link::from_stream(far);
    let clock = Clock::start();
    let mut connection = ServerConnection::new(
        ServerOptions::default(),
        PathId(1),
        TransportId::Tcp,
        clock.now(),
    );
    let packet = link.reader.next().await.unwrap();
    connection.handle_packet(&packet, clock.now()).unwrap();
    let Some(ConnectionEvent::Hello(offer)) = connection.poll_event() else {
        panic!();
    };
    let ack = ServerHelloAck {
        metadata: offer.ack,
        extensions: Vec::new(),
        payload: Bytes::new(),
    };
    let session = connection.accept(ack, clock.now()).unwrap();
    link.reader.set_limits(SplitLimits::session(0));
    let server = Driver::start(session, Server, clock);
    server.add_link(PathId(1), link, PathTasks::default());
    let active = events.recv().await;
    assert!(matches!(active, Some(ClientEvent::Active(_))), "{active:?}");

    client
        .with(|machine, _, now| machine.close("done".into(), now))
        .unwrap();
    client.ended().await;
    server.ended().await;
}
