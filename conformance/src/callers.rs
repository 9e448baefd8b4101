//! Clients of ours, one kind for each wire, behind one face: for load that is random, and for ends that are not the node's.

mod autotrainer;
mod http;
mod mcp;
mod nanograph;
mod nats;
mod nnrp;

use std::time::Duration;

use nodewire::capability::Wire;
use serde_json::Value;

use crate::Addresses;

/// A connection of one wire. Dropping it drops the socket, whatever runs.
#[derive(Debug)]
pub struct Caller(Kind);

#[derive(Debug)]
enum Kind {
    Nanograph(nanograph::Caller),
    Nats(nats::Caller),
    Autotrainer(autotrainer::Caller),
    Nnrp(nnrp::Caller),
    Http(http::Caller),
    Mcp(mcp::Caller),
}

/// An execution that was asked for. Dropping it asks for nothing, except where that is how a wire cancels: HTTP, MCP.
#[derive(Debug)]
pub struct Call(Asked);

#[derive(Debug)]
enum Asked {
    Nanograph(nanograph::Call),
    Nats(nats::Call),
    Autotrainer(autotrainer::Call),
    Nnrp(nnrp::Call),
    /// And MCP.
    Http(http::Call),
}

/// How a call ended, as far as its caller knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With outputs.
    Completed,
    /// With an error, cancelled, dropped or refused: the server said so, in these words.
    Told(String),
    /// The server said nothing: the connection was lost, or there was no answer in time. In the words of the client's
    /// own error.
    Lost(String),
}

impl Caller {
    /// Connects. Answers that take longer than `timeout` are given up.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub async fn connect(
        wire: Wire,
        addresses: &Addresses,
        timeout: Duration,
    ) -> anyhow::Result<Self> {
        let address = addresses.of(wire);
        Ok(Self(match wire {
            Wire::Nanograph => Kind::Nanograph(nanograph::Caller::connect(address).await?),
            Wire::Nats => Kind::Nats(nats::Caller::connect(address, timeout).await?),
            Wire::Autotrainer => {
                let caller = autotrainer::Caller::connect(address, timeout).await?;
                Kind::Autotrainer(caller)
            }
            Wire::Nnrp => Kind::Nnrp(nnrp::Caller::connect(address, timeout).await?),
            Wire::Http => Kind::Http(http::Caller::new(address)?),
            Wire::Mcp => Kind::Mcp(mcp::Caller::new(address)?),
        }))
    }

    /// Asks for an execution.
    ///
    /// # Errors
    /// As [`Call::end`], where that is known at once.
    pub async fn begin(&self, node: &str, inputs: Value) -> Result<Call, End> {
        Ok(Call(match &self.0 {
            Kind::Nanograph(caller) => Asked::Nanograph(caller.begin(node, &inputs).await?),
            Kind::Nats(caller) => Asked::Nats(caller.begin(node, &inputs)),
            Kind::Autotrainer(caller) => Asked::Autotrainer(caller.begin(node, &inputs).await?),
            Kind::Nnrp(caller) => Asked::Nnrp(caller.begin(node, &inputs).await?),
            Kind::Http(caller) => Asked::Http(caller.begin(node, &inputs)),
            Kind::Mcp(caller) => Asked::Http(caller.begin(node, &inputs)),
        }))
    }

    /// Asks, and waits for the end.
    pub async fn run(&self, node: &str, inputs: Value) -> End {
        match self.begin(node, inputs).await {
            Ok(call) => call.end().await,
            Err(end) => end,
        }
    }
}

impl Call {
    /// Asks for its cancellation, in the wire's own way. It may come too late, or be lost with the connection: what
    /// became of it is told by [`Self::end`].
    pub async fn cancel(&mut self) {
        match &mut self.0 {
            Asked::Nanograph(call) => call.cancel().await,
            Asked::Nats(call) => call.cancel().await,
            Asked::Autotrainer(call) => call.cancel().await,
            Asked::Nnrp(call) => call.cancel(),
            Asked::Http(call) => call.cancel(),
        }
    }

    /// Waits for its end.
    pub async fn end(self) -> End {
        match self.0 {
            Asked::Nanograph(call) => call.end().await,
            Asked::Nats(call) => call.end().await,
            Asked::Autotrainer(call) => call.end().await,
            Asked::Nnrp(call) => call.end().await,
            Asked::Http(call) => call.end().await,
        }
    }
}

/// The words of a client's error, with its causes.
fn words(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    let told = causes.map(ToString::to_string);
    std::iter::once(error.to_string())
        .chain(told)
        .collect::<Vec<_>>()
        .join(": ")
}

fn lost(error: &(dyn std::error::Error + 'static)) -> End {
    End::Lost(words(error))
}

/// The text that the suite's server put at this key.
fn text<'a>(address: &'a Value, key: &str) -> &'a str {
    address[key].as_str().unwrap_or_default()
}
