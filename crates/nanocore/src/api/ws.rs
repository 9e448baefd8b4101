//! `GET /api/v1/ws`: events over a WebSocket, and a few wishes the other way. spec: nanograph 19.4

use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use axum::routing::get;
use futures_util::SinkExt;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::Api;
use super::document::{Operation, Routes};
use super::streams::{Notice, Resume, Watch, hello};
use crate::events::{Item, Published, Runs};
use crate::refusal::ApiError;
use crate::request::Params;

/// The longest message taken from a client, in bytes.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// What may wait to be written to one client, in bytes: more than the largest event.
const WRITE_BUFFER_BYTES_MAX: usize = 4 << 20;
/// How long a client may read nothing. What it misses meanwhile it is told.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// How many events are written before the client is listened to again.
const ITEMS_AT_ONCE: usize = 256;
/// How often a connection is tried, so that one whose client is gone ends.
const PING_PERIOD: Duration = Duration::from_secs(30);

pub(super) fn add(routes: &mut Routes) {
    let resume = routes.query::<Resume>();
    routes.add(
        Operation::get(
            "/api/v1/ws",
            "events",
            "All events over a WebSocket; a client may send subscribe and abort",
        )
        .query(resume)
        .empty(
            101,
            "`hello` comes first, then `reset` if need be, then events.",
        ),
        get(open),
    );
}

async fn open(
    State(api): State<Api>,
    Params(resume): Params<Resume>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, ApiError> {
    let watch = Watch::all(&api, &resume)?;
    let upgrade = upgrade
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX);
    Ok(upgrade.on_upgrade(move |socket| serve(Stream { api, watch, socket })))
}

/// What a client may say.
#[derive(Debug, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
enum Wish {
    Subscribe {
        #[serde(default, deserialize_with = "runs")]
        runs: Runs,
        #[serde(default)]
        servers: bool,
    },
    Abort {
        run_id: String,
    },
}

/// `"*"` or a list of run ids.
fn runs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Runs, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Said {
        All(String),
        Only(std::collections::HashSet<String>),
    }
    match Said::deserialize(deserializer)? {
        Said::All(all) if all == "*" => Ok(Runs::All),
        Said::All(_) => Err(D::Error::custom("runs is \"*\" or a list of run ids")),
        Said::Only(runs) => Ok(Runs::Only(runs)),
    }
}

struct Stream {
    api: Api,
    watch: Watch,
    socket: WebSocket,
}

/// The client is gone, or was told that it is over.
struct Over;

async fn serve(mut stream: Stream) {
    // The one error says that nothing is left to do.
    let _ = stream.run().await;
}

impl Stream {
    async fn run(&mut self) -> Result<(), Over> {
        self.send(Message::text(hello(&self.api))).await?;
        let mut ping = tokio::time::interval(PING_PERIOD);
        ping.reset();
        let stop = self.api.stop.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => {
                    return self.close(close_code::AWAY, "the daemon ends".to_owned()).await;
                }
                item = self.watch.subscription.next() => self.pass_on(item).await?,
                message = self.socket.recv() => match message {
                    Some(Ok(message)) => self.receive(message).await?,
                    Some(Err(_)) | None => return Err(Over),
                },
                _ = ping.tick() => self.send(Message::Ping(bytes::Bytes::new())).await?,
            }
        }
    }

    /// Writes an item and what is there behind it, with one flush.
    async fn pass_on(&mut self, first: Item) -> Result<(), Over> {
        self.feed(first).await?;
        for _ in 0..ITEMS_AT_ONCE {
            match self.watch.subscription.try_next() {
                Some(item) => self.feed(item).await?,
                None => break,
            }
        }
        in_time(self.socket.flush()).await
    }

    async fn feed(&mut self, item: Item) -> Result<(), Over> {
        let message = match item {
            Item::Event(event) => text(&event)?,
            Item::Reset => {
                let seq = self.watch.subscription.seq();
                Message::text(Notice::Reset { seq }.text())
            }
            Item::TooSlow { missed } => return self.give_up(missed).await,
        };
        in_time(self.socket.feed(message)).await
    }

    /// The client was slower than the ring is long: it is told so, and may come back.
    async fn give_up(&mut self, missed: u64) -> Result<(), Over> {
        let seq = self.watch.subscription.seq();
        self.send(Message::text(Notice::TooSlow { missed, seq }.text()))
            .await?;
        self.close(
            close_code::AGAIN,
            format!("too slow: {missed} events missed"),
        )
        .await
    }

    async fn receive(&mut self, message: Message) -> Result<(), Over> {
        let text = match message {
            Message::Text(text) => text,
            Message::Close(_) => return Err(Over),
            // Pings are answered below us.
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Binary(_) => return self.complain("bad_message", "send text").await,
        };
        match serde_json::from_str(&text) {
            Ok(Wish::Subscribe { runs, servers }) => {
                self.watch.subscription.change(runs, servers);
                Ok(())
            }
            Ok(Wish::Abort { run_id }) => self.abort(&run_id).await,
            Err(error) => self.complain("bad_message", &error.to_string()).await,
        }
    }

    async fn abort(&mut self, run_id: &str) -> Result<(), Over> {
        match self.api.runs.abort(run_id).await {
            // Its events tell the rest.
            Ok(_) => Ok(()),
            Err(error) => self.complain("abort_failed", &error.to_string()).await,
        }
    }

    async fn complain(&mut self, code: &str, message: &str) -> Result<(), Over> {
        let message = message.to_owned();
        self.send(Message::text(Notice::Error { code, message }.text()))
            .await
    }

    async fn send(&mut self, message: Message) -> Result<(), Over> {
        in_time(self.socket.send(message)).await
    }

    async fn close(&mut self, code: u16, reason: String) -> Result<(), Over> {
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        self.send(Message::Close(Some(frame))).await?;
        // The client's answer, so that what was written is not lost with the connection.
        let answer = async { while let Some(Ok(_)) = self.socket.recv().await {} };
        let _ = tokio::time::timeout(WRITE_TIMEOUT, answer).await;
        Err(Over)
    }
}

fn text(event: &Published) -> Result<Message, Over> {
    // A serializer wrote it, so that it is UTF-8.
    let text = Utf8Bytes::try_from(event.json.clone()).map_err(|_| Over)?;
    Ok(Message::Text(text))
}

async fn in_time<E>(writing: impl Future<Output = Result<(), E>>) -> Result<(), Over> {
    match tokio::time::timeout(WRITE_TIMEOUT, writing).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Over),
    }
}
