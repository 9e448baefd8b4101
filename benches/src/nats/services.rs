//! Echo services, and our broker.

use anyhow::Context;
use async_nats::service::ServiceExt;
use clap::ValueEnum;
use futures_util::StreamExt;
use nats_broker::Broker;
use nats_micro::{Endpoint, Request, Service};

/// Which service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ServiceKind {
    /// `nats_micro::Service`.
    Ours,
    /// `async_nats::service`.
    AsyncNats,
    /// A subscription and a loop, nothing else.
    Raw,
}

impl ServiceKind {
    /// The subject that it answers.
    #[must_use]
    pub fn subject(self) -> &'static str {
        match self {
            Self::Ours => "ours.echo",
            Self::AsyncNats => "async-nats.echo",
            Self::Raw => "raw.echo",
        }
    }
}

/// Serves until the process is killed.
///
/// # Errors
/// It cannot connect.
pub async fn serve(
    kind: ServiceKind,
    url: &str,
    announce: impl FnOnce(&str),
) -> anyhow::Result<()> {
    let client = async_nats::connect(url).await?;
    match kind {
        ServiceKind::Ours => ours(&client, announce).await,
        ServiceKind::AsyncNats => async_nats_service(&client, announce).await,
        ServiceKind::Raw => raw(&client, announce).await,
    }
}

async fn ours(client: &async_nats::Client, announce: impl FnOnce(&str)) -> anyhow::Result<()> {
    let echo = Endpoint::new("echo", |request: Request| async move {
        request.payload().clone()
    });
    let _service = Service::builder("ours", "1.0.0")
        .endpoint(echo.subject(ServiceKind::Ours.subject()))
        .start(client)
        .await?;
    announce(ServiceKind::Ours.subject());
    std::future::pending().await
}

async fn async_nats_service(
    client: &async_nats::Client,
    announce: impl FnOnce(&str),
) -> anyhow::Result<()> {
    let started = client.service_builder().start("async-nats", "1.0.0").await;
    let service = started.map_err(|error| anyhow::anyhow!(error))?;
    let subject = ServiceKind::AsyncNats.subject();
    let endpoint = service.endpoint(subject).await;
    let mut requests = endpoint.map_err(|error| anyhow::anyhow!(error))?;
    client.flush().await?;
    announce(subject);
    while let Some(request) = requests.next().await {
        let payload = request.message.payload.clone();
        request.respond(Ok(payload)).await?;
    }
    Ok(())
}

async fn raw(client: &async_nats::Client, announce: impl FnOnce(&str)) -> anyhow::Result<()> {
    let subject = ServiceKind::Raw.subject();
    let mut messages = client.queue_subscribe(subject, "q".to_owned()).await?;
    client.flush().await?;
    announce(subject);
    while let Some(message) = messages.next().await {
        let reply = message.reply.context("a request without reply subject")?;
        client.publish(reply, message.payload).await?;
    }
    Ok(())
}

/// Our broker, until the process is killed.
///
/// # Errors
/// It cannot listen.
pub async fn broker(announce: impl FnOnce(&str)) -> anyhow::Result<()> {
    let broker = Broker::builder().start().await?;
    announce(&broker.url());
    std::future::pending().await
}
