//! NNRP, over plain TCP.

use std::time::Duration;

use futures_util::StreamExt;
use nnrp::client::{ConnectOptions, FrameItem, FrameStream, Session, Submit};
use nnrp::{DialOptions, DialPolicy, Dialer, Endpoint};
use nnrp_wire::FrameSubmit;
use nnrp_wire::body::TypedPayload;
use nnrp_wire::session::{FrameKey, FrameOutcome};
use serde_json::{Value, json};

use super::{End, lost};

#[derive(Debug)]
pub(super) struct Caller {
    session: Session,
    timeout: Duration,
}

#[derive(Debug)]
pub(super) struct Call {
    session: Session,
    key: FrameKey,
    stream: FrameStream,
}

impl Caller {
    pub(super) async fn connect(address: &Value, timeout: Duration) -> anyhow::Result<Self> {
        let port = address["port"].as_u64().unwrap_or_default();
        let endpoint = Endpoint::plain("127.0.0.1", u16::try_from(port)?)?;
        let options = ConnectOptions::default().with_policy(DialPolicy::ForceTcp);
        let dialer = Dialer::new(DialOptions::default());
        let session = Session::connect(&dialer, &endpoint, options).await?;
        Ok(Self { session, timeout })
    }

    pub(super) async fn begin(&self, node: &str, inputs: &Value) -> Result<Call, End> {
        let request = json!({"node": node, "inputs": inputs}).to_string();
        let event = TypedPayload::structured_event(request);
        let message = FrameSubmit::builder().payload(event).build();
        let message = message.map_err(|error| lost(&error))?;
        let key = FrameKey::new(self.session.next_frame_id());
        let mut submit = Submit::new(key, message);
        submit.timeout = Some(self.timeout);
        let stream = self.session.submit_stream(submit).await;
        Ok(Call {
            session: self.session.clone(),
            key,
            stream: stream.map_err(|error| lost(&error))?,
        })
    }
}

impl Call {
    pub(super) fn cancel(&self) {
        self.session.cancel(self.key);
    }

    pub(super) async fn end(mut self) -> End {
        while let Some(item) = self.stream.next().await {
            if let FrameItem::End(end) = item {
                return match (end.outcome, end.session) {
                    (FrameOutcome::Complete, _) => End::Completed,
                    (outcome, None) if outcome != FrameOutcome::ConnectionLost => {
                        End::Told(format!("{outcome:?}"))
                    }
                    (outcome, session) => {
                        let session = session.map(|end| end.to_string());
                        End::Lost(format!("{outcome:?}: {}", session.unwrap_or_default()))
                    }
                };
            }
        }
        End::Lost("the frame's stream ended".to_owned())
    }
}
