//! What a subscriber receives, malformed messages included. spec: autotrainer 2.3
//!
//! A 0.9.11 service can queue a topic without its payload, or publish two messages interleaved. Nothing of that ends a
//! subscription: what can be told apart is received, and each such message is counted.

mod anomaly;

pub use anomaly::{Anomaly, AnomalyCounters};

use bytes::Bytes;
use nodewire_json::Json;

use crate::json::{Fields, Limits, parse};
use crate::topic::Topic;

/// A message as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its topic; for a malformed message, the one that fits its payload.
    pub topic: Topic,
    /// Its payload.
    pub payload: Bytes,
    /// What was wrong with it, if it could be received all the same.
    pub anomaly: Option<Anomaly>,
}

impl Received {
    /// Classifies the frames of one message.
    ///
    /// ```
    /// use autotrainer_api::{Anomaly, Received, Topic};
    /// use bytes::Bytes;
    ///
    /// let stale = Bytes::from_static(&[0xe9, 3, 0, 0]);
    /// let topic = Bytes::from_static(&[0xa1, 0x0f, 0, 0]);
    /// let payload = Bytes::from_static(br#"{"kind": 201}"#);
    /// let received = Received::from_frames(&[stale, topic, payload], &Default::default())?;
    /// assert_eq!(received.topic, Topic::EVENT);
    /// assert_eq!(received.anomaly, Some(Anomaly::SurplusFrames));
    /// # Ok::<(), Anomaly>(())
    /// ```
    ///
    /// # Errors
    /// If the message has to be dropped.
    pub fn from_frames(frames: &[Bytes], limits: &Limits) -> Result<Self, Anomaly> {
        if frames.len() > limits.frames_max {
            return Err(Anomaly::TooManyFrames);
        }
        let [before @ .., payload] = frames else {
            return Err(Anomaly::NoFrames);
        };
        if payload.len() > limits.frame_bytes_max {
            return Err(Anomaly::TooLong);
        }
        let (topic, anomaly) = classify(before, payload, limits)?;
        Ok(Self {
            topic,
            payload: payload.clone(),
            anomaly,
        })
    }
}

fn classify(
    before: &[Bytes],
    payload: &Bytes,
    limits: &Limits,
) -> Result<(Topic, Option<Anomaly>), Anomaly> {
    // Well-formed, as nearly all are.
    if let [frame] = before
        && let Some(topic) = Topic::from_frame(frame)
    {
        return Ok((topic, None));
    }
    let candidates: Vec<Topic> = before
        .iter()
        .filter_map(|frame| Topic::from_frame(frame))
        .collect();
    match (before, candidates.as_slice()) {
        ([], _) => {
            let alone = [Topic::EVENT, Topic::COMMAND_RESULT, Topic::HEARTBEAT];
            let topic = fitting(&alone, payload, limits).ok_or(Anomaly::Unclassifiable)?;
            Ok((topic, Some(Anomaly::TopicMissing)))
        }
        (_, [.., last]) => {
            let topic = fitting(&candidates, payload, limits).unwrap_or(*last);
            Ok((topic, Some(Anomaly::SurplusFrames)))
        }
        (_, []) => Err(Anomaly::NoTopic),
    }
}

/// The last of the candidates that such a payload is published with.
fn fitting(candidates: &[Topic], payload: &Bytes, limits: &Limits) -> Option<Topic> {
    let json: Json = parse(payload, limits).ok()?;
    let fields = Fields::find(
        &json,
        &["identifier", "timestamp", "result", "nonce", "kind"],
        |_, _| {},
    )?;
    let fits = |topic: &&Topic| match **topic {
        Topic::HEARTBEAT => fields.has(0) && fields.has(1),
        Topic::COMMAND_RESULT => fields.has(2) && fields.has(3),
        Topic::EVENT | Topic::EMERGENCY | Topic::PROPERTY_CHANGE => fields.has(4),
        _ => false,
    };
    candidates.iter().rev().find(fits).copied()
}
