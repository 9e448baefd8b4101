//! The device API.

use std::sync::Arc;
use std::time::Duration;

use autotrainer_api::{Command, CommandResult, PendingResult, Remote, RemoteOptions, ResultCode};
use nodewire::Json;
use serde_json::{Value, json};

use super::{End, lost, text};

/// The number of the command that cancels.
const CANCEL: i64 = 2;

#[derive(Debug)]
pub(super) struct Caller {
    remote: Arc<Remote>,
    timeout: Duration,
}

#[derive(Debug)]
pub(super) struct Call {
    remote: Arc<Remote>,
    pending: PendingResult,
    timeout: Duration,
}

impl Caller {
    pub(super) async fn connect(address: &Value, timeout: Duration) -> anyhow::Result<Self> {
        let mut options = RemoteOptions {
            timeout,
            // Results must not be published before they can be received.
            event_channel_wait: timeout,
            ..RemoteOptions::endpoints(text(address, "events"), text(address, "commands"))
        };
        // Client and server share the processors, which may be busy for longer than a heartbeat allows.
        options.socket_options.heartbeats = None;
        let remote = Arc::new(Remote::connect(options).await?);
        Ok(Self { remote, timeout })
    }

    pub(super) async fn begin(&self, node: &str, inputs: &Value) -> Result<Call, End> {
        let data = Json::from(json!({"node": node, "inputs": inputs}));
        let command = self.remote.command(Command::UserDefined);
        let sent = command.verbatim_data(data).send().await;
        let answered = sent.map_err(|error| lost(&error))?;
        let refused = || {
            let answer = &answered.answer;
            End::Told(format!("{:?} {}", answer.result, answer.error_code))
        };
        Ok(Call {
            remote: Arc::clone(&self.remote),
            pending: answered.pending.ok_or_else(refused)?,
            timeout: self.timeout,
        })
    }
}

impl Call {
    pub(super) async fn cancel(&self) {
        let nonce = Json::from(json!({"nonce": self.pending.nonce()}));
        let command = self.remote.custom_command(CANCEL).verbatim_data(nonce);
        // Its end says whether it came.
        let _ = command.send().await;
    }

    pub(super) async fn end(mut self) -> End {
        match self.pending.result(self.timeout).await {
            Ok(result) => ended(&result),
            Err(error) => lost(&error),
        }
    }
}

fn ended(result: &CommandResult) -> End {
    if result.result == ResultCode::Success {
        return End::Completed;
    }
    End::Told(format!("{:?} {}", result.result, result.error_code))
}
