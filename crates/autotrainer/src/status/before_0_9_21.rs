//! The two forms of status of 0.9.11: the answer to a command, and the payload of an event.

use serde::{Deserialize, Serialize};

use super::{AlarmStatus, DetectorStatus};
use crate::json::nan_if_null;
use crate::kinds::{AppStatus, TrainingMode};

/// The answer to `GET_STATUS`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppState {
    /// What the application does.
    pub app_status: AppStatus,
    /// How the animal is trained.
    pub training_mode: TrainingMode,
    /// Which animal.
    pub animal_id: String,
}

/// The payload of `systemStatus`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemStatusBefore0_9_21 {
    /// All alarms.
    #[serde(default)]
    pub alarms: Vec<AlarmStatus>,
    /// All detectors.
    #[serde(default)]
    pub detectors: Vec<DetectorStatus>,
    /// The device that presents pellets.
    pub pellet: PelletState,
    /// The device that holds the head.
    pub headfix: HeadfixState,
}

/// Where pellets are sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the three coordinates")]
pub struct PelletState {
    #[serde(deserialize_with = "nan_if_null")]
    pub send_x: f64,
    #[serde(deserialize_with = "nan_if_null")]
    pub send_y: f64,
    #[serde(deserialize_with = "nan_if_null")]
    pub send_z: f64,
}

/// The magnet that holds the head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names say what the device reports")]
pub struct HeadfixState {
    #[serde(deserialize_with = "nan_if_null")]
    pub current_magnet_intensity: f64,
    #[serde(deserialize_with = "nan_if_null")]
    pub baseline_magnet_intensity: f64,
}
