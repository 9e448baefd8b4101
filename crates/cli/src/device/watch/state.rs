//! What is known of a device.

use std::collections::{BTreeMap, VecDeque};

use autotrainer_api::command::data::AppState;
use autotrainer_api::status::{AlarmStatus, DetectorStatus, SystemStatus};
use autotrainer_api::{
    CallError, Channel, CommandAnswer, Delivery, Event, EventPayload, Gap, Json, Message, Presence,
    ProtocolLevel, Remote, ServiceSeen, Topic,
};

use crate::device::show::{self, object, value};
use crate::failure::chain;

/// Events that are kept for the view.
const EVENTS_MAX: usize = 10;

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) services: Vec<ServiceSeen>,
    pub(super) has_events: bool,
    pub(super) has_commands: bool,
    /// Why the last `GET_STATUS` has no status.
    pub(super) problem: Option<String>,
    pub(super) application_mode: Option<String>,
    pub(super) training_mode: Option<String>,
    pub(super) animal: Option<String>,
    pub(super) session: Option<String>,
    pub(super) alarms: BTreeMap<i64, AlarmStatus>,
    pub(super) detectors: BTreeMap<i64, DetectorStatus>,
    pub(super) events: VecDeque<(Topic, Event, ProtocolLevel)>,
    pub(super) events_count: u64,
    pub(super) losses: Losses,
    is_answering: bool,
    is_asked: bool,
}

/// What was lost, as far as that can be seen.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Losses {
    pub(super) interruptions: u64,
    pub(super) restarts: u64,
    pub(super) missing: u64,
    pub(super) read_too_slowly: u64,
    pub(super) malformed: u64,
}

impl State {
    /// Whether nothing was heard or asked yet.
    pub(super) fn is_unknown(&self) -> bool {
        !self.is_asked && self.services.is_empty() && self.events_count == 0
    }

    /// Whether it answers, or its heartbeats come.
    pub(super) fn is_there(&self) -> bool {
        let mut seen = self.services.iter();
        self.is_answering || seen.any(|seen| seen.presence != Presence::Gone)
    }

    /// Takes over what the remote knows.
    pub(super) fn look(&mut self, remote: &Remote) {
        self.services = remote.services();
        self.has_events = remote.is_connected(Channel::Events);
        self.has_commands = remote.is_connected(Channel::Commands);
        self.is_answering &= self.has_commands;
        self.losses.malformed = remote.anomalies().total();
    }

    pub(super) fn asked(&mut self, asked: Result<CommandAnswer, CallError>) {
        self.is_asked = true;
        self.is_answering = asked.is_ok();
        self.problem = match asked {
            Ok(answer) => self.answered(&answer).err(),
            Err(error) => Some(chain(&error)),
        };
    }

    fn answered(&mut self, answer: &CommandAnswer) -> Result<(), String> {
        self.has_commands = true;
        if !answer.result.is_positive() {
            let message = answer.error_message.as_deref();
            return Err(show::error(answer.result, answer.error_code, message));
        }
        if let Ok(status) = answer.decode_data::<SystemStatus>() {
            self.system_status(status);
            return Ok(());
        }
        let status: AppState = answer
            .decode_data()
            .map_err(|_| "its status is none that is known".to_owned())?;
        self.application_mode = Some(status.app_status.to_string());
        self.training_mode = Some(status.training_mode.to_string());
        self.animal = Some(status.animal_id);
        Ok(())
    }

    fn system_status(&mut self, status: SystemStatus) {
        self.application_mode = Some(status.application_mode.to_string());
        self.training_mode = Some(status.training_mode.to_string());
        self.animal = status.animal.map(|animal| animal.name);
        let project = status.project;
        let has_session = !project.session_id.is_empty();
        self.session =
            has_session.then(|| format!("{}, trial {}", project.session_id, project.trial_id));
        self.conditions(status.alarms, status.detectors);
    }

    fn conditions(&mut self, alarms: Vec<AlarmStatus>, detectors: Vec<DetectorStatus>) {
        let alarms = alarms
            .into_iter()
            .map(|alarm| (alarm.alarm_id.value(), alarm));
        self.alarms = alarms.collect();
        let detectors = detectors.into_iter();
        let detectors = detectors.map(|detector| (detector.detector_id.value(), detector));
        self.detectors = detectors.collect();
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "what a release of the library adds is no loss that is known here"
    )]
    pub(super) fn took(&mut self, delivery: &Delivery) {
        match delivery {
            Delivery::Message(Message::Event {
                topic,
                event,
                level,
            }) => self.event(*topic, event, *level),
            Delivery::Gap(Gap::Interrupted) => self.losses.interruptions += 1,
            Delivery::Gap(Gap::IndexWentBack { .. } | Gap::SequenceWentBack { .. }) => {
                self.losses.restarts += 1
            }
            Delivery::Gap(Gap::Sequence { missing }) => self.losses.missing += missing,
            Delivery::Gap(Gap::SlowReader(missing)) => self.losses.read_too_slowly += missing,
            _ => {}
        }
    }

    fn event(&mut self, topic: Topic, event: &Event, level: ProtocolLevel) {
        self.events_count += 1;
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back((topic, event.clone(), level));
        let Ok(payload) = event.payload(level) else {
            return;
        };
        self.payload(payload);
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all other payloads say nothing of the state"
    )]
    fn payload(&mut self, payload: EventPayload) {
        match payload {
            EventPayload::SystemStatus(status) => self.system_status(*status),
            EventPayload::OldSystemStatus(status) => {
                self.conditions(status.alarms, status.detectors);
            }
            EventPayload::Alarm(alarm) => {
                self.alarms.insert(alarm.alarm_id.value(), alarm);
            }
            EventPayload::Detector(detector) => {
                let kind = detector.detector_id.value();
                self.detectors.insert(kind, detector);
            }
            EventPayload::ApplicationMode(changed) => {
                self.application_mode = Some(changed.mode.to_string());
            }
            EventPayload::TrainingMode(changed) => {
                self.training_mode = Some(changed.training_mode.to_string());
            }
            _ => {}
        }
    }

    pub(super) fn json(&self) -> Json {
        let services: Vec<_> = self.services.iter().map(service_json).collect();
        let alarms: Vec<_> = self.alarms.values().map(alarm_json).collect();
        let detectors: Vec<_> = self.detectors.values().map(detector_json).collect();
        let last = self.events.back();
        let last =
            last.map(|(topic, event, level)| show::event_json("event", *topic, event, *level));
        object(
            "state",
            [
                ("there", value(self.is_there())),
                ("services", Json::array(&services)),
                ("eventsConnected", value(self.has_events)),
                ("commandsConnected", value(self.has_commands)),
                ("problem", value(&self.problem)),
                ("applicationMode", value(&self.application_mode)),
                ("trainingMode", value(&self.training_mode)),
                ("animal", value(&self.animal)),
                ("session", value(&self.session)),
                ("alarms", Json::array(&alarms)),
                ("detectors", Json::array(&detectors)),
                ("events", value(self.events_count)),
                ("lastEvent", last.unwrap_or_default()),
                ("losses", self.losses.json()),
            ],
        )
    }
}

impl Losses {
    fn json(&self) -> Json {
        Json::object([
            ("interruptions", value(self.interruptions)),
            ("restarts", value(self.restarts)),
            ("missing", value(self.missing)),
            ("readTooSlowly", value(self.read_too_slowly)),
            ("malformed", value(self.malformed)),
        ])
    }
}

fn service_json(seen: &ServiceSeen) -> Json {
    Json::object([
        ("identifier", value(&seen.heartbeat.identifier)),
        ("version", value(&seen.heartbeat.version)),
        ("level", value(seen.level.to_string())),
        ("presence", show::presence_name(seen.presence).into()),
    ])
}

fn alarm_json(alarm: &AlarmStatus) -> Json {
    Json::object([
        ("alarm", value(alarm.alarm_id.to_string())),
        ("alarmId", value(alarm.alarm_id)),
        ("isActive", value(alarm.is_active)),
        ("isEnabled", value(alarm.is_enabled)),
    ])
}

fn detector_json(detector: &DetectorStatus) -> Json {
    Json::object([
        ("detector", value(detector.detector_id.to_string())),
        ("detectorId", value(detector.detector_id)),
        ("isActive", value(detector.is_active)),
        ("isEnabled", value(detector.is_enabled)),
    ])
}
