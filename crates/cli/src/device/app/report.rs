//! What a device tells of itself: lines for people, JSON objects for programs.

use std::time::Duration;

use autotrainer_api::{
    CommandRequest, CommandResponse, Event, Json, PropertyChange, ProtocolLevel, Service, Topic,
};
use tokio::time::MissedTickBehavior;

use super::counts;
use crate::device::prompt::Screen;
use crate::device::show::{self, object, one_line, value};
use crate::terminal;

/// How often connections are counted.
const LOOK: Duration = Duration::from_millis(200);

#[derive(Debug, Clone)]
pub(super) struct Report {
    screen: Screen,
    json: bool,
    level: ProtocolLevel,
}

impl Report {
    pub(super) const fn new(screen: Screen, json: bool, level: ProtocolLevel) -> Self {
        Self {
            screen,
            json,
            level,
        }
    }

    fn tell(&self, line: impl FnOnce() -> String, json: impl FnOnce() -> Json) {
        if self.json {
            self.screen.show(json().as_str());
        } else {
            self.screen.show(&line());
        }
    }

    /// For people only.
    pub(super) fn text(&self, text: &str) {
        if self.json {
            terminal::say(text);
        } else {
            self.screen.show(text);
        }
    }

    pub(super) fn problem(&self, problem: &str) {
        self.aside(&format!(
            "{} {}",
            terminal::error_word(),
            terminal::plain(problem)
        ));
    }

    pub(super) fn warning(&self, warning: &str) {
        self.aside(&format!(
            "{} {}",
            terminal::warning_word(),
            terminal::plain(warning)
        ));
    }

    /// On standard error, unless that would disturb a prompt.
    fn aside(&self, line: &str) {
        match &self.screen {
            Screen::Direct => terminal::say(line),
            Screen::Above { .. } => self.screen.show(line),
        }
    }

    pub(super) fn started(&self, service: &Service) {
        let texts = |addresses: Vec<std::net::SocketAddr>| {
            let texts = addresses.iter().map(ToString::to_string);
            texts.collect::<Vec<_>>()
        };
        let events = texts(service.event_addresses());
        let commands = texts(service.command_addresses());
        let level = self.level.to_string();
        if self.json {
            let members = [
                ("eventAddresses", value(&events)),
                ("commandAddresses", value(&commands)),
                ("level", value(&level)),
            ];
            self.screen.show(object("started", members).as_str());
            return;
        }
        self.aside(&format!(
            "a device of version {level}: events at {}, commands at {}",
            events.join(", "),
            commands.join(", ")
        ));
    }

    pub(super) fn request(&self, request: &CommandRequest) {
        let line = || {
            let mut line = format!("asked for {}", request.command);
            let raw = request.raw_command.as_str();
            line.push_str(&format!(
                " ({}), nonce {}",
                one_line(raw),
                one_line(request.nonce.as_str())
            ));
            if request.custom_command.as_str() != "-1" {
                line.push_str(&format!(
                    ", custom {}",
                    one_line(request.custom_command.as_str())
                ));
            }
            if !request.verbatim_data.is_null() {
                line.push_str(&format!(": {}", one_line(request.verbatim_data.as_str())));
            }
            line
        };
        let json = || {
            object(
                "request",
                [
                    ("command", request.command.name().into()),
                    ("rawCommand", request.raw_command.clone()),
                    ("customCommand", request.custom_command.clone()),
                    ("nonce", request.nonce.clone()),
                    ("data", request.verbatim_data.clone()),
                ],
            )
        };
        self.tell(line, json);
    }

    /// What was answered, or will be.
    pub(super) fn response(
        &self,
        request: &CommandRequest,
        response: &CommandResponse,
        is_later: bool,
    ) {
        let line = || {
            let message = response.error_message.as_deref();
            let how = show::error(response.result, response.error_code, message);
            let later = if is_later { "will answer" } else { "answered" };
            format!("{later} {} with {how}", request.command)
        };
        let json = || {
            object(
                "response",
                [
                    ("command", request.command.name().into()),
                    ("nonce", request.nonce.clone()),
                    ("result", value(response.result.to_string())),
                    ("later", value(is_later)),
                    ("data", response.data.clone()),
                    ("errorCode", value(response.error_code)),
                    ("errorMessage", value(&response.error_message)),
                ],
            )
        };
        self.tell(line, json);
    }

    pub(super) fn published(&self, topic: Topic, event: &Event) {
        let line = || format!("published {}", show::event_line(topic, event, self.level));
        self.tell(line, || {
            show::event_json("published", topic, event, self.level)
        });
    }

    pub(super) fn published_property(&self, change: &PropertyChange) {
        let context = Json::from_serialize(change).unwrap_or_default();
        let topic = Topic::PROPERTY_CHANGE;
        let line = || format!("published on {topic} {}", one_line(context.as_str()));
        let json = || {
            let members = [
                ("topic", value(topic.to_string())),
                ("kind", "propertyChanged".into()),
                ("context", context.clone()),
            ];
            object("published", members)
        };
        self.tell(line, json);
    }

    pub(super) fn published_text(&self, topic: Topic, text: &str) {
        let line = || format!("published on {topic} {}", one_line(text));
        let json = || {
            object(
                "published",
                [("topic", value(topic.to_string())), ("text", text.into())],
            )
        };
        self.tell(line, json);
    }

    /// Tells whenever there are more connections, or fewer, or events cannot be kept; goes on for ever.
    pub(super) async fn watch(&self, service: &Service) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut before, mut failure) = ((0, 0), None);
        loop {
            look.tick().await;
            let now = connections(service);
            if now != before {
                before = now;
                self.connections(now);
            }
            let failing = service.event_log_status().and_then(|log| log.failure);
            if failing != failure {
                match &failing {
                    Some(why) => self.warning(&format!("events are not kept: {why}")),
                    None => self.warning("events are kept again"),
                }
                failure = failing;
            }
        }
    }

    fn connections(&self, (events, commands): (u64, u64)) {
        let line = || format!("connections: {events} for events, {commands} for commands");
        let members = || [("events", value(events)), ("commands", value(commands))];
        self.tell(line, || object("connections", members()));
    }

    pub(super) fn counts(&self, service: &Service) {
        let counts = service.counts();
        self.tell(|| counts::line(&counts), || counts::json(&counts));
    }

    pub(super) fn stopped(&self, service: &Service) {
        if self.json {
            let sent: u64 = service
                .counts()
                .publications
                .iter()
                .map(|(_, count)| count)
                .sum();
            self.screen
                .show(object("stopped", [("sent", value(sent))]).as_str());
        }
    }
}

fn connections(service: &Service) -> (u64, u64) {
    let counts = service.counts();
    let open = |opened: u64, closed: u64| opened.saturating_sub(closed);
    let (events, commands) = (&counts.event_connections, &counts.command_connections);
    (
        open(events.opened, events.closed),
        open(commands.opened, commands.closed),
    )
}
