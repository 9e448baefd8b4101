//! How soon a cancellation reaches the handler: from each door, directly, and through a workflow of five steps.
//!
//! Everything is in this process, so that both ends have the same clock; what lies between is real: sockets, a broker, the
//! orchestrator's engine, and a second node server behind it.

mod nodes;
mod pipeline;

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use fastrand::Rng;
use nodewire::capability::Wire;
use nodewire::{Counters, NodeServer, RunningServer};
use nodewire_conformance::callers::{Caller, End};
use nodewire_conformance::{Addresses, on_all_wires};
use serde_json::json;

use self::nodes::{Seen, Watch};
use self::pipeline::Pipeline;

/// Steps of the workflow; the handler that is to hear of it is the third.
pub const STEPS: usize = 5;

/// Nothing takes as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the executions last whose cancellation may come too late, at most.
const BRIEF: Duration = Duration::from_millis(2);

/// What lies between the door and the handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// The executor.
    Direct,
    /// A node that runs a workflow, and the node server of its steps.
    Workflow,
}

/// How cancellations ended that may have come too late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Race {
    /// In time.
    pub cancelled: u64,
    /// The execution had ended; its result was late for those who had given it up.
    pub late: u64,
}

/// A node server on all wires, and the one behind the orchestrator.
#[derive(Debug)]
pub struct Site {
    server: RunningServer,
    addresses: Addresses,
    watch: Watch,
    pipeline: Pipeline,
}

impl Site {
    /// Starts both.
    ///
    /// # Errors
    /// A wire cannot start, or the orchestrator cannot reach its node server.
    pub async fn start(broker_url: &str) -> anyhow::Result<Self> {
        let watch = Watch::new();
        let pipeline = Pipeline::start(&watch).await?;
        let builder = NodeServer::builder()
            .node(watch.hold("hold")?)
            .node(nodes::brief()?)
            .node(pipeline.node()?);
        let builder = on_all_wires(builder, broker_url, None)?;
        let server = Box::pin(builder.build()?.start()).await?;
        let addresses = Addresses::of_server(&server, broker_url, None)?;
        Ok(Self {
            server,
            addresses,
            watch,
            pipeline,
        })
    }

    /// A client.
    ///
    /// # Errors
    /// It cannot connect.
    pub async fn caller(&self, wire: Wire) -> anyhow::Result<Caller> {
        Caller::connect(wire, &self.addresses, PATIENCE).await
    }

    /// From the cancellation at the door to the handler, once.
    ///
    /// # Errors
    /// The handler does not begin, or does not hear of it.
    pub async fn cancel(&mut self, caller: &Caller, path: Path) -> anyhow::Result<Duration> {
        let node = match path {
            Path::Direct => "hold",
            Path::Workflow => "workflow",
        };
        let begun = caller.begin(node, json!({})).await;
        let mut call = begun.map_err(|end| anyhow::anyhow!("{end:?}"))?;
        let Seen::Begun = self.watch.next().await? else {
            bail!("a handler heard of a cancellation twice");
        };
        let asked = std::time::Instant::now();
        let ((), seen) = tokio::join!(call.cancel(), self.watch.next());
        let Seen::Stopped(heard) = seen? else {
            bail!("a handler began that nobody asked for");
        };
        let end = call.end().await;
        ensure!(matches!(end, End::Told(_)), "{end:?} after a cancellation");
        self.quiet().await?;
        Ok(heard.saturating_duration_since(asked))
    }

    /// Cancels executions that end by themselves at about the same time.
    ///
    /// # Errors
    /// One has no end, or is not counted once.
    pub async fn race(&self, caller: &Caller, rng: &mut Rng, times: u64) -> anyhow::Result<Race> {
        let some = |rng: &mut Rng| rng.u64(0..=u64::try_from(BRIEF.as_micros()).unwrap_or(0));
        let before = self.counters();
        for _ in 0..times {
            let inputs = json!({"us": some(rng)});
            let begun = caller.begin("brief", inputs).await;
            let mut call = begun.map_err(|end| anyhow::anyhow!("{end:?}"))?;
            tokio::time::sleep(Duration::from_micros(some(rng))).await;
            call.cancel().await;
            call.end().await;
            self.quiet().await?;
        }
        let after = self.counters();
        let race = Race {
            cancelled: after.cancelled - before.cancelled,
            late: after.completed - before.completed,
        };
        let accepted = after.accepted - before.accepted;
        ensure!(race.cancelled + race.late == accepted, "{after:?}");
        Ok(race)
    }

    /// Reports that came from the steps' server after their run had ended, so far: dropped, and counted.
    #[must_use]
    pub fn late_reports(&self) -> u64 {
        self.pipeline.late_reports()
    }

    fn counters(&self) -> Counters {
        self.server.executor().counters()
    }

    /// Until nothing is in flight, on either server.
    async fn quiet(&self) -> anyhow::Result<()> {
        let quiet = async {
            while self.counters().in_flight + self.pipeline.in_flight() > 0 {
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        };
        let quiet = tokio::time::timeout(PATIENCE, quiet).await;
        quiet.context("an execution does not end")?;
        let counters = self.counters();
        ensure!(counters.is_balanced(), "{counters:?} do not add up");
        Ok(())
    }
}
