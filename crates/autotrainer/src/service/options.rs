//! Options by the names that the peers' configuration files use. spec: autotrainer 1.2

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::builder::{HEARTBEAT_INTERVAL_MAX, HEARTBEAT_INTERVAL_MIN};
use crate::event_log::EventLogOptions;

/// A device's options.
///
/// ```
/// use autotrainer_api::DeviceOptions;
///
/// let options: DeviceOptions = serde_json::from_str(
///     r#"{"rpc": {"identifier": "box-7", "heartbeat_interval": 2.5}, "event_log": {"path": "box-7.db", "age_max_s": 604800}}"#,
/// )?;
/// let builder = options.service()?.expect("it is enabled");
/// # let disabled: DeviceOptions = serde_json::from_str(r#"{"rpc": {"enable": false}}"#)?;
/// # assert!(disabled.service()?.is_none() && DeviceOptions::default().service()?.is_none());
/// # let _ = builder;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceOptions {
    /// The service; none without it.
    pub rpc: Option<RpcOptions>,
    /// Where events are kept; nowhere without it. Not in the peers' files.
    pub event_log: Option<EventLogOptions>,
    /// Metrics and traces. Without `Telemetry::start` (feature `telemetry`) they have no effect.
    pub telemetry: Option<TelemetryOptions>,
}

/// The service's options.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RpcOptions {
    /// Whether there is a service at all.
    pub enable: bool,
    /// Copied into every heartbeat.
    pub identifier: String,
    /// Seconds before the first heartbeat and between heartbeats: 0.01 to 86400, a day.
    pub heartbeat_interval: f64,
    /// The event port.
    pub subscriber_port: u16,
    /// The command port.
    pub command_port: u16,
}

/// Where metrics and traces go. spec: autotrainer 12
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TelemetryOptions {
    /// Whether there are any.
    pub enable: bool,
    /// The collector's address.
    pub endpoint: Option<String>,
    /// A bearer token; none if empty. `Debug` does not show it.
    pub api_key: String,
}

impl std::fmt::Debug for TelemetryOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TelemetryOptions")
            .field("enable", &self.enable)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl Default for RpcOptions {
    fn default() -> Self {
        Self {
            enable: true,
            identifier: "autotrainer-device".to_owned(),
            heartbeat_interval: 5.0,
            subscriber_port: 5556,
            command_port: 5557,
        }
    }
}

/// The heartbeat interval is no time, or too short or too long.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[error(
    "the heartbeat interval of {} s is no time between 0.01 s and a day; give such a number of seconds",
    readable(*seconds)
)]
pub struct HeartbeatIntervalError {
    /// What it is.
    pub seconds: f64,
}

/// Hundreds of digits say nothing.
fn readable(seconds: f64) -> String {
    let is_short = seconds == 0.0 || (1e-6..1e9).contains(&seconds.abs());
    if is_short || !seconds.is_finite() {
        seconds.to_string()
    } else {
        format!("{seconds:e}")
    }
}

impl DeviceOptions {
    /// The service that they describe, yet without a handler; `None` if they do not want one (Q1).
    ///
    /// # Errors
    /// If the heartbeat interval is not between [`HEARTBEAT_INTERVAL_MIN`](super::HEARTBEAT_INTERVAL_MIN) and
    /// [`HEARTBEAT_INTERVAL_MAX`](super::HEARTBEAT_INTERVAL_MAX).
    pub fn service(&self) -> Result<Option<super::ServiceBuilder>, HeartbeatIntervalError> {
        let Some(rpc) = self.rpc.as_ref().filter(|rpc| rpc.enable) else {
            return Ok(None);
        };
        let seconds = rpc.heartbeat_interval;
        let interval = Duration::try_from_secs_f64(seconds).ok();
        let interval = interval
            .filter(|interval| (HEARTBEAT_INTERVAL_MIN..=HEARTBEAT_INTERVAL_MAX).contains(interval))
            .ok_or(HeartbeatIntervalError { seconds })?;
        let builder = super::Service::builder()
            .identifier(&rpc.identifier)
            .heartbeat_interval(interval)
            .subscriber_port(rpc.subscriber_port)
            .command_port(rpc.command_port);
        Ok(Some(match self.event_log.clone() {
            Some(log) => builder.event_log(log),
            None => builder,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::{DeviceOptions, RpcOptions};

    fn refusal(seconds: f64) -> Option<String> {
        let rpc = RpcOptions {
            heartbeat_interval: seconds,
            ..RpcOptions::default()
        };
        let options = DeviceOptions {
            rpc: Some(rpc),
            ..DeviceOptions::default()
        };
        options.service().err().map(|error| error.to_string())
    }

    #[test]
    fn heartbeats_are_neither_a_flood_nor_silence() {
        for fine in [0.01, 5.0, 86400.0] {
            assert_eq!(refusal(fine), None);
        }
        let odd = [
            (1e300, "1e300 s"),
            (1e-6, "0.000001 s"),
            (1e-30, "1e-30 s"),
            (-1.0, "-1 s"),
            (0.0, "0 s"),
            (86401.0, "86401 s"),
            (f64::NAN, "NaN s"),
            (f64::INFINITY, "inf s"),
        ];
        for (seconds, shown) in odd {
            let refusal = refusal(seconds).unwrap();
            assert!(refusal.contains(shown), "{refusal}");
        }
    }
}
