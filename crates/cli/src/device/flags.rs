//! The flags that say where a device is and how it is talked to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use autotrainer_api::zmq::KeyPair;
use autotrainer_api::{Delivery, DeviceOptions, Message, ProtocolLevel, RemoteOptions};
use serde_json::Value;

use super::key_files;
use crate::failure::Failure;

/// Where a device is. A flag goes before its variable, a variable before the configuration file.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Device")]
pub(super) struct RemoteFlags {
    /// Where the device is.
    #[arg(
        long,
        value_name = "HOST",
        default_value = "127.0.0.1",
        env = "NODEWIRE_DEVICE_HOST"
    )]
    host: String,
    /// Its event port; 5556 unless set.
    #[arg(long, value_name = "PORT", env = "NODEWIRE_DEVICE_EVENT_PORT")]
    event_port: Option<u16>,
    /// Its command port; 5557 unless set.
    #[arg(long, value_name = "PORT", env = "NODEWIRE_DEVICE_COMMAND_PORT")]
    command_port: Option<u16>,
    /// Where it publishes, instead of host and port.
    #[arg(long, value_name = "tcp://HOST:PORT", env = "NODEWIRE_DEVICE_EVENTS")]
    events: Option<String>,
    /// Where it takes commands, instead of host and port.
    #[arg(long, value_name = "tcp://HOST:PORT", env = "NODEWIRE_DEVICE_COMMANDS")]
    commands: Option<String>,
    /// The device's own options, JSON: the ports are taken from there.
    #[arg(long, value_name = "FILE", env = "NODEWIRE_DEVICE_CONFIG")]
    config: Option<PathBuf>,
    /// How long an answer may take; 2 unless set.
    #[arg(short, long, value_name = "SECONDS", value_parser = crate::micro::seconds, env = "NODEWIRE_DEVICE_TIMEOUT")]
    timeout: Option<Duration>,
    /// Which version of the protocol the device speaks, 0.9.11 to 0.12.0; without it, its heartbeats tell.
    #[arg(long, value_name = "VERSION", value_parser = level, env = "NODEWIRE_DEVICE_LEVEL")]
    pub(super) level: Option<ProtocolLevel>,
    /// How long start and stop wait for the heartbeat that tells the version.
    #[arg(long, value_name = "SECONDS", default_value = "6", value_parser = crate::micro::seconds, env = "NODEWIRE_DEVICE_LEVEL_WAIT")]
    pub(super) level_wait: Duration,
    /// The device's public key, or a file with it: the connection is encrypted then.
    #[arg(
        long,
        value_name = "KEY|FILE",
        allow_hyphen_values = true,
        env = "NODEWIRE_DEVICE_CURVE_SERVER_KEY"
    )]
    curve_server_key: Option<String>,
    /// Our key pair; without it one is made for this time, which a device with an allow-list refuses.
    #[arg(
        long,
        value_name = "FILE",
        requires = "curve_server_key",
        env = "NODEWIRE_DEVICE_CURVE_KEY_FILE"
    )]
    curve_key_file: Option<PathBuf>,
}

impl RemoteFlags {
    /// What was received, with the level that was given, which is better known than what heartbeats tell.
    pub(super) const fn with_level(&self, mut delivery: Delivery) -> Delivery {
        if let (Some(given), Delivery::Message(Message::Event { level, .. })) =
            (self.level, &mut delivery)
        {
            *level = given;
        }
        delivery
    }

    /// The options that they describe.
    pub(super) fn options(&self) -> Result<RemoteOptions, Failure> {
        let rpc = match &self.config {
            Some(path) => read_options(path)?.rpc,
            None => None,
        };
        let rpc = rpc.unwrap_or_default();
        let event_port = self.event_port.unwrap_or(rpc.subscriber_port);
        let command_port = self.command_port.unwrap_or(rpc.command_port);
        let mut options = RemoteOptions::ports(&self.host, event_port, command_port);
        if let Some(events) = &self.events {
            options.event_endpoints = vec![events.clone()];
        }
        if let Some(commands) = &self.commands {
            options.command_endpoint.clone_from(commands);
        }
        if let Some(timeout) = self.timeout {
            options.timeout = timeout;
        }
        let Some(server) = &self.curve_server_key else {
            return Ok(options);
        };
        let keys = match &self.curve_key_file {
            Some(path) => key_files::read_pair(path)?,
            None => KeyPair::generate(),
        };
        Ok(options.with_curve(keys, key_files::public_key(server)?))
    }
}

/// A device's options by the names that the peers' configuration files use.
pub(super) fn read_options(path: &Path) -> Result<DeviceOptions, Failure> {
    let wrong = |problem: String| Failure::usage(format!("{}: {problem}", path.display()));
    let text = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let json: Value = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    check_objects(&json).map_err(|name| wrong(format!("{name} is no JSON object")))?;
    serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))
}

/// A list would be read as fields in their order. `Err` is what is one.
fn check_objects(json: &Value) -> Result<(), &'static str> {
    let members = json.as_object().ok_or("it")?;
    for name in ["rpc", "telemetry"] {
        match members.get(name) {
            None | Some(Value::Null | Value::Object(_)) => {}
            Some(_) => return Err(name),
        }
    }
    Ok(())
}

/// A version such as 0.9.13, as the level that it belongs to.
pub(super) fn level(text: &str) -> Result<ProtocolLevel, String> {
    let parts: Vec<_> = text.split('.').map(str::parse::<u32>).collect();
    if (2..=3).contains(&parts.len()) && parts.iter().all(Result::is_ok) {
        return Ok(ProtocolLevel::of_version(text));
    }
    Err("a version is three numbers, such as 0.9.11 or 0.12.0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        assert_eq!(level("0.9.11"), Ok(ProtocolLevel::V0_9_11));
        assert_eq!(level("0.9.13"), Ok(ProtocolLevel::V0_9_11));
        assert_eq!(level("0.12"), Ok(ProtocolLevel::V0_12_0));
        for bad in ["", "newest", "1", "0.9.11.1", "0.-9.1"] {
            assert!(level(bad).is_err(), "{bad}");
        }
    }
}
