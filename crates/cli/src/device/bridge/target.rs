//! Which devices are bridged, as the command line names them.

use std::str::FromStr;

use autotrainer_api::RemoteOptions;

/// One `--device`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// What it is called in subjects; its heartbeats tell unless set.
    pub(super) identifier: Option<String>,
    pub(super) host: String,
    pub(super) event_port: u16,
    pub(super) command_port: u16,
}

impl Target {
    pub(super) fn options(&self) -> RemoteOptions {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        RemoteOptions::ports(&host, self.event_port, self.command_port)
    }

    /// For people.
    pub(super) fn place(&self) -> String {
        let Self {
            host,
            event_port,
            command_port,
            ..
        } = self;
        format!("{host}:{event_port}:{command_port}")
    }
}

const FORM: &str = "a device is [IDENTIFIER=]HOST[:EVENT_PORT:COMMAND_PORT]";

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (identifier, place) = match text.split_once('=') {
            Some((identifier, place)) => (Some(identifier.to_owned()), place),
            None => (None, text),
        };
        let (host, ports) = host_and_ports(place).ok_or(FORM)?;
        if host.is_empty() || identifier.as_ref().is_some_and(String::is_empty) {
            return Err(FORM.to_owned());
        }
        let (event_port, command_port) = match ports {
            "" => (5556, 5557),
            ports => two_ports(ports).ok_or(FORM)?,
        };
        Ok(Self {
            identifier,
            host: host.to_owned(),
            event_port,
            command_port,
        })
    }
}

/// An IPv6 address stands in brackets.
fn host_and_ports(place: &str) -> Option<(&str, &str)> {
    if let Some(bracketed) = place.strip_prefix('[') {
        return bracketed.split_once(']');
    }
    let end = place.find(':').unwrap_or(place.len());
    Some(place.split_at(end))
}

fn two_ports(text: &str) -> Option<(u16, u16)> {
    let (event_port, command_port) = text.strip_prefix(':')?.split_once(':')?;
    let port = |text: &str| text.parse().ok().filter(|port| *port > 0);
    Some((port(event_port)?, port(command_port)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_by_host_and_ports() {
        let parsed = |text: &str| {
            let target: Target = text.parse().unwrap();
            (target.identifier.clone(), target.place())
        };
        assert_eq!(parsed("box"), (None, "box:5556:5557".to_owned()));
        assert_eq!(
            parsed("a b=10.0.0.7:1:2"),
            (Some("a b".to_owned()), "10.0.0.7:1:2".to_owned())
        );
        assert_eq!(parsed("[::1]:1:2"), (None, "::1:1:2".to_owned()));
        let target: Target = "[::1]".parse().unwrap();
        assert_eq!(target.options().command_endpoint, "tcp://[::1]:5557");
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "=box",
            "x=",
            "box:1",
            "box:0:2",
            "box:1:2:3",
            "[::1",
            "box:a:b",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
