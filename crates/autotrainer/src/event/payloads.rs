//! Payloads about application and devices.

#![expect(
    missing_docs,
    reason = "the fields are those of the protocol, and named as there"
)]

use nodewire_json::Json;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::json::{UnixTime, nan_if_null};
use crate::kinds::{
    AlarmKind, ApplicationMode, EmergencyResumeReason, EmergencyStopReason, TrainingMode,
};
use crate::status::Vector;

/// Why it was stopped, and all alarms that were active and enabled then: possibly none, not necessarily the cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActiveAlarms {
    pub reason: String,
    /// From 0.11.0 on.
    #[serde(default = "unspecified_stop")]
    pub reason_code: EmergencyStopReason,
    #[serde(default)]
    pub active_alarms: Vec<AlarmKind>,
}

/// Why it was resumed, and the alarms that cleared by themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResumedAlarms {
    pub reason: String,
    /// From 0.11.0 on.
    #[serde(default = "unspecified_resume")]
    pub reason_code: EmergencyResumeReason,
    #[serde(default)]
    pub resumed_alarms: Vec<AlarmKind>,
}

/// The application's version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationLaunched {
    pub version: String,
}

/// Why something ended or failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub reason: String,
}

/// The mode that the application is in now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationModeChanged {
    pub mode: ApplicationMode,
}

/// Where data goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Project {
    pub root: String,
    pub device_id: String,
    /// In the form that the application has for days.
    pub day: Json,
    pub session_id: String,
    pub trial_id: i64,
}

/// Which trial's data goes there; not sent when [`Project`] is, for the same change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectTrial {
    pub root: String,
    pub session_id: String,
    pub trial_id: i64,
}

/// The same at a command to the hardware and at its acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceCommand {
    pub context: String,
}

/// After how many cycles the arm went home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeReset {
    pub cycles: i64,
}

/// How far the arm had drifted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DriftReset {
    pub drift: Vector,
}

/// Whether it is enabled now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnabledChanged {
    pub is_enabled: bool,
}

/// Whether it is engaged now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EngagedChanged {
    pub is_engaged: bool,
}

/// The baseline of the magnet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeasuredBaseline {
    #[serde(deserialize_with = "nan_if_null")]
    pub baseline: f64,
}

/// The intensity of the magnet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeasuredIntensity {
    #[serde(deserialize_with = "nan_if_null")]
    pub intensity: f64,
}

/// The frequency of the release tone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeasuredFrequency {
    #[serde(deserialize_with = "nan_if_null")]
    pub frequency: f64,
}

/// The delay of the release.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeasuredDelay {
    #[serde(deserialize_with = "nan_if_null")]
    pub delay: f64,
}

/// The release tone that is played.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReleaseTone {
    #[serde(deserialize_with = "nan_if_null")]
    pub frequency: f64,
    #[serde(deserialize_with = "nan_if_null")]
    pub duration: f64,
}

/// By how much a count changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountChange {
    pub change: i64,
    /// The new total.
    pub count: i64,
}

/// The day that started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewDay {
    pub date: UnixTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day_path: Option<String>,
}

/// How the animal is trained now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrainingModeChanged {
    pub training_mode: TrainingMode,
}

/// A training plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrainingPlan {
    pub training_plan_id: Uuid,
}

/// A phase of a training plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrainingPhase {
    pub training_phase_id: Uuid,
}

const fn unspecified_stop() -> EmergencyStopReason {
    EmergencyStopReason::Unspecified
}

const fn unspecified_resume() -> EmergencyResumeReason {
    EmergencyResumeReason::Unspecified
}
