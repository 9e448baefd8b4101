//! NATS.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::{Client, HeaderMap, Message, Request, RequestError};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{End, lost, text};

static EXECUTIONS: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
pub(super) struct Caller {
    client: Client,
    group: String,
    timeout: Duration,
}

#[derive(Debug)]
pub(super) struct Call {
    client: Client,
    cancel: String,
    answer: JoinHandle<Result<Message, RequestError>>,
}

impl Caller {
    pub(super) async fn connect(address: &Value, timeout: Duration) -> anyhow::Result<Self> {
        Ok(Self {
            client: async_nats::connect(text(address, "url")).await?,
            group: text(address, "service").to_owned(),
            timeout,
        })
    }

    pub(super) fn begin(&self, node: &str, inputs: &Value) -> Call {
        let id = format!("c{}", EXECUTIONS.fetch_add(1, Ordering::Relaxed));
        let mut headers = HeaderMap::new();
        headers.insert("Nodewire-Execution", id.as_str());
        let body = json!({"node": node, "inputs": inputs}).to_string();
        let request = Request::new()
            .headers(headers)
            .payload(body.into())
            .timeout(Some(self.timeout));
        let (client, subject) = (self.client.clone(), format!("{}.$execute", self.group));
        Call {
            client: self.client.clone(),
            cancel: format!("{}.$cancel.{id}", self.group),
            answer: tokio::spawn(async move { client.send_request(subject, request).await }),
        }
    }
}

impl Call {
    /// Without asking whether it came: there is no answer if it did not.
    pub(super) async fn cancel(&self) {
        let _ = self.client.publish(self.cancel.clone(), "".into()).await;
        let _ = self.client.flush().await;
    }

    pub(super) async fn end(mut self) -> End {
        match (&mut self.answer).await {
            Ok(Ok(message)) => ended(&message),
            Ok(Err(error)) => lost(&error),
            Err(error) => lost(&error),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.answer.abort();
    }
}

fn ended(message: &Message) -> End {
    let headers = message.headers.as_ref();
    match headers.and_then(|headers| headers.get("Nats-Service-Error")) {
        Some(error) => End::Told(error.to_string()),
        None => End::Completed,
    }
}
