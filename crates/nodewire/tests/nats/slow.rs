//! A broker that reads nothing for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nodewire::{Context, Node, NodeDefinition, Outputs, node_fn};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::support::{PATIENCE, serve, until};

const PART_BYTES: usize = 128 << 10;
const PARTS: usize = 256;

/// With what tells that it was accepted, and that it has completed.
const REPLIES: usize = PARTS + 2;

/// Sends many partial outputs, and counts them.
fn flood(sent: &Arc<AtomicUsize>) -> impl Node + use<> {
    let sent = Arc::clone(sent);
    let definition = NodeDefinition::builder("flood").build().unwrap();
    node_fn(definition, move |context: Context| {
        let sent = Arc::clone(&sent);
        async move {
            let text = "x".repeat(PART_BYTES);
            for _ in 0..PARTS {
                let part = Outputs::new().with("text", text.as_str());
                context.partial(part).await;
                sent.fetch_add(1, Ordering::SeqCst);
            }
            Ok(Outputs::new())
        }
    })
}

/// What a broker does for one client: it answers pings, notes the subscription to `flood`, and counts what is published.
struct Broker {
    stream: BufReader<TcpStream>,
    line: Vec<u8>,
    sid: Option<String>,
    published: usize,
}

impl Broker {
    async fn greet(stream: TcpStream) -> Self {
        let mut stream = BufReader::new(stream);
        let info = r#"INFO {"server_id":"s","server_name":"s","version":"2.10.0","go":"go1","host":"127.0.0.1","port":1,"headers":true,"max_payload":1048576,"proto":1,"client_id":1}"#;
        stream
            .write_all(format!("{info}\r\n").as_bytes())
            .await
            .unwrap();
        Self {
            stream,
            line: Vec::new(),
            sid: None,
            published: 0,
        }
    }

    /// The next operation; false at the end.
    async fn step(&mut self) -> bool {
        // What was read of a line stays if this is dropped.
        let read = self.stream.read_until(b'\n', &mut self.line).await;
        if read.unwrap_or(0) == 0 {
            return false;
        }
        let line = String::from_utf8(std::mem::take(&mut self.line)).unwrap();
        let words: Vec<_> = line.split_whitespace().collect();
        match *words.first().unwrap_or(&"") {
            "PING" => self.stream.write_all(b"PONG\r\n").await.unwrap(),
            "SUB" if words[1] == "nodes.flood" => {
                self.sid = Some((*words.last().unwrap()).to_owned())
            }
            "PUB" | "HPUB" => {
                let length: usize = words.last().unwrap().parse().unwrap();
                let mut payload = vec![0; length + 2];
                self.stream.read_exact(&mut payload).await.unwrap();
                self.published += usize::from(words[1] == "inbox");
            }
            _ => {}
        }
        true
    }

    /// Asks for a stream of `flood`.
    async fn ask(&mut self) {
        let sid = self.sid.clone().unwrap();
        let headers = "NATS/1.0\r\nNodewire-Stream: 1\r\n\r\n";
        let length = headers.len();
        let request = format!("HMSG nodes.flood {sid} inbox {length} {length}\r\n{headers}\r\n");
        self.stream.write_all(request.as_bytes()).await.unwrap();
    }
}

/// Serves one client, asks when it is told to, and reads on only when it is told to. Gives what came to the inbox.
fn broker(ask: Arc<Notify>, go_on: Arc<Notify>) -> (String, JoinHandle<usize>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 << 10).unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut broker = Broker::greet(stream).await;
        loop {
            tokio::select! {
                biased;
                () = ask.notified() => break,
                is_there = broker.step() => assert!(is_there),
            }
        }
        broker.ask().await;
        go_on.notified().await;
        while broker.published < REPLIES && broker.step().await {}
        broker.published
    });
    (url, task)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partial_outputs_wait_for_a_broker_that_reads_nothing() {
    let (ask, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (url, broker) = broker(Arc::clone(&ask), Arc::clone(&go_on));
    let sent = Arc::new(AtomicUsize::new(0));
    let node = flood(&sent);
    let small = nodewire::ExecutorConfig {
        events_bytes_max: 1 << 20,
        ..nodewire::ExecutorConfig::default()
    };
    let configure = |config: &mut nodewire::nats::NatsConfig| config.unwritten_bytes_max = 1 << 20;
    let served = serve(&url, configure, |builder| {
        builder.executor(small).node(node)
    })
    .await;
    ask.notify_one();
    until("the node is ahead", || sent.load(Ordering::SeqCst) > 8).await;
    // Long enough for all of it, if it did not wait; what the system's sockets hold may go out.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(sent.load(Ordering::SeqCst) < PARTS);
    go_on.notify_one();
    let executor = served.server.executor().clone();
    until("it completes", || executor.counters().completed == 1).await;
    let published = tokio::time::timeout(PATIENCE, broker).await;
    assert_eq!(published.unwrap().unwrap(), REPLIES);
}
