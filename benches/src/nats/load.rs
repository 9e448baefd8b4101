//! The callers: one connection, as many requests outstanding as asked for, the same for every service.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

/// What is measured only after this.
const WARM_UP: Duration = Duration::from_millis(200);
const PAYLOAD_BYTES: usize = 128;

/// How much is asked at once, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Where the broker is.
    pub url: String,
    /// The endpoint.
    pub subject: String,
    /// Callers that each ask again when they have their answer.
    pub concurrency: usize,
    /// How long to measure.
    pub time: Duration,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Requests answered while measuring.
    pub requests: usize,
    /// Requests answered before.
    pub warm_up_requests: usize,
    /// In how many seconds.
    pub seconds: f64,
    /// Median of the times from request to reply, in µs.
    pub p50_us: f64,
    /// The time that one in a hundred exceeds, in µs.
    pub p99_us: f64,
}

impl Load {
    /// Puts the load on the endpoint.
    ///
    /// # Errors
    /// The connection or a request fails, or a reply is wrong.
    pub async fn run(&self) -> anyhow::Result<Outcome> {
        let client = async_nats::connect(&self.url).await?;
        let warm_up = self.round(&client, WARM_UP).await?;
        let start = Instant::now();
        let mut latencies_ns = self.round(&client, self.time).await?;
        let seconds = start.elapsed().as_secs_f64();
        latencies_ns.sort_unstable();
        let at = |hundredths: usize| {
            let index = (latencies_ns.len().saturating_sub(1)) * hundredths / 100;
            latencies_ns.get(index).map_or(0.0, |ns| *ns as f64 / 1e3)
        };
        ensure!(!latencies_ns.is_empty(), "no request was answered");
        Ok(Outcome {
            requests: latencies_ns.len(),
            warm_up_requests: warm_up.len(),
            seconds,
            p50_us: at(50),
            p99_us: at(99),
        })
    }

    async fn round(&self, client: &async_nats::Client, time: Duration) -> anyhow::Result<Vec<u64>> {
        let over = Arc::new(AtomicBool::new(false));
        let callers = (0..self.concurrency).map(|_| {
            let caller = caller(client.clone(), self.subject.clone(), Arc::clone(&over));
            tokio::spawn(caller)
        });
        let callers: Vec<_> = callers.collect();
        tokio::time::sleep(time).await;
        over.store(true, Ordering::Relaxed);
        let latencies = try_join_all(callers).await?;
        let latencies: anyhow::Result<Vec<_>> = latencies.into_iter().collect();
        Ok(latencies?.concat())
    }
}

/// Asks until the time is over; gives the time each request took.
async fn caller(
    client: async_nats::Client,
    subject: String,
    over: Arc<AtomicBool>,
) -> anyhow::Result<Vec<u64>> {
    let payload = Bytes::from(vec![b'x'; PAYLOAD_BYTES]);
    let subject = async_nats::Subject::from(subject);
    let mut latencies_ns = Vec::with_capacity(1 << 14);
    while !over.load(Ordering::Relaxed) {
        let sent = Instant::now();
        let reply = client
            .request(subject.clone(), payload.clone())
            .await
            .with_context(|| format!("a request to {subject}"))?;
        ensure!(reply.payload.len() == PAYLOAD_BYTES, "a reply is wrong");
        latencies_ns.push(u64::try_from(sent.elapsed().as_nanos())?);
    }
    Ok(latencies_ns)
}
