//! MCP over a pair of streams: a line is a message.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nodewire_core::{BoxFuture, Executor};
use rmcp::RoleServer;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, JsonRpcMessage, RequestId, ServerJsonRpcMessage,
};
use rmcp::service::serve_server_with_ct;
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::{Transport, TransportAdapterIdentity};
use tokio::io::{AsyncRead, AsyncWrite, Empty};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::config::McpOptions;
use super::lines::{Came, Lines, RefusedCounts};
use super::tools::{SessionTools, Shared};
use crate::capability::Losses;
use crate::server::RunningWire;

/// Last answers have so much time to leave the process, however short the drain time is.
const CLOSE_MIN: Duration = Duration::from_secs(1);

/// Requests beyond those that may be in flight, which are being refused or are quick, before nothing more is read.
const ANSWERS_WAITING_MAX: usize = 64;

type Input = Box<dyn AsyncRead + Send + Unpin>;
type Output = Box<dyn AsyncWrite + Send + Unpin>;

/// Where messages come from and go to.
pub(crate) struct StdioStreams {
    input: Input,
    output: Output,
    ended: CancellationToken,
}

/// The wire, serving. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct RunningStdio {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl std::fmt::Debug for StdioStreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StdioStreams(..)")
    }
}

impl StdioStreams {
    /// The streams, and what is cancelled once the client has closed the input.
    pub(crate) fn new(
        input: impl AsyncRead + Send + Unpin + 'static,
        output: impl AsyncWrite + Send + Unpin + 'static,
    ) -> (Self, CancellationToken) {
        let ended = CancellationToken::new();
        let streams = Self {
            input: Box::new(input),
            output: Box::new(output),
            ended: ended.clone(),
        };
        (streams, ended)
    }
}

/// Serves the nodes that the executor has at any time, to one client.
pub(crate) fn start_stdio(
    streams: StdioStreams,
    options: McpOptions,
    executor: Executor,
    losses: Losses,
) -> RunningStdio {
    let stop = CancellationToken::new();
    let transport = Bounded {
        lines: Lines::new(streams.input, options.message_bytes_max),
        writer: AsyncRwTransport::new_server(tokio::io::empty(), streams.output),
        telling: None,
        refused: RefusedCounts::default(),
        unanswered: Arc::default(),
        unanswered_max: options.in_flight_max.saturating_add(ANSWERS_WAITING_MAX),
    };
    let tools = SessionTools::new(&Shared::new(options, executor, losses));
    let (asked, ended) = (stop.clone(), streams.ended);
    let task = tokio::spawn(async move {
        let serving =
            serve_server_with_ct::<_, _, _, TransportAdapterIdentity>(tools, transport, asked);
        match serving.await {
            Ok(serving) => drop(serving.waiting().await),
            Err(error) => tracing::debug!(%error, "the MCP client did not begin a session"),
        }
        ended.cancel();
    });
    RunningStdio { stop, task }
}

impl RunningWire for RunningStdio {
    fn close(mut self: Box<Self>, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            self.stop.cancel();
            let ended = tokio::time::timeout(time.max(CLOSE_MIN), &mut self.task).await;
            if ended.is_err() {
                tracing::warn!("answers over MCP were cut off: their client takes its time");
            }
        })
    }
}

impl Drop for RunningStdio {
    fn drop(&mut self) {
        self.stop.cancel();
        self.task.abort();
    }
}

/// Tells the client what it writes that is no message, and reads nothing more before that is taken; nor while too many
/// requests wait for their answers to be taken, as the SDK would keep them all.
struct Bounded {
    lines: Lines<Input>,
    /// It reads nothing.
    writer: AsyncRwTransport<RoleServer, Empty, Output>,
    /// The answer to a line that was refused, on its way.
    telling: Option<BoxFuture<'static, std::io::Result<()>>>,
    refused: RefusedCounts,
    unanswered: Arc<Unanswered>,
    unanswered_max: usize,
}

#[derive(Debug, Default)]
struct Unanswered {
    // A std mutex: held for a look-up, never across an await.
    requests: Mutex<HashSet<RequestId>>,
    answered: Notify,
}

impl Unanswered {
    fn count(&self) -> usize {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.len()
    }

    fn begin(&self, id: RequestId) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.insert(id);
    }

    /// Answered, or cancelled, which is not answered.
    fn end(&self, id: &RequestId) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.remove(id);
        drop(requests);
        self.answered.notify_one();
    }

    async fn at_most(&self, count: usize) {
        while self.count() > count {
            self.answered.notified().await;
        }
    }
}

impl Transport<RoleServer> for Bounded {
    type Error = std::io::Error;

    fn send(
        &mut self,
        item: ServerJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let answered = match &item {
            JsonRpcMessage::Response(response) => Some(response.id.clone()),
            JsonRpcMessage::Error(error) => error.id.clone(),
            JsonRpcMessage::Request(_) | JsonRpcMessage::Notification(_) => None,
        };
        let unanswered = Arc::clone(&self.unanswered);
        let sending = self.writer.send(item);
        async move {
            let sent = sending.await;
            if let Some(id) = answered {
                unanswered.end(&id);
            }
            sent
        }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            // The SDK drops this future whenever something else happens, so all of its state is in `self`.
            if let Some(telling) = &mut self.telling {
                let told = telling.await;
                self.telling = None;
                told.ok()?;
            }
            self.unanswered.at_most(self.unanswered_max).await;
            match self.lines.next().await? {
                Came::Message(message) => {
                    self.note(&message);
                    return Some(*message);
                }
                Came::Refused(refused) => {
                    self.refused.add(&refused);
                    self.telling = Some(Box::pin(self.writer.send(refused.answer())));
                }
            }
        }
    }

    fn close(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send {
        self.writer.close()
    }
}

impl Bounded {
    fn note(&self, message: &ClientJsonRpcMessage) {
        match message {
            JsonRpcMessage::Request(request) => self.unanswered.begin(request.id.clone()),
            JsonRpcMessage::Notification(told) => {
                if let ClientNotification::CancelledNotification(cancelled) = &told.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    self.unanswered.end(id);
                }
            }
            JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => {}
        }
    }
}

impl Drop for Bounded {
    fn drop(&mut self) {
        let RefusedCounts {
            no_json,
            no_message,
            too_long,
        } = self.refused;
        if self.refused != RefusedCounts::default() {
            tracing::warn!(
                no_json,
                no_message,
                too_long,
                "the MCP client wrote lines that are no messages"
            );
        }
    }
}
