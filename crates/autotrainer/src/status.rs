//! The structures that say how a system is. spec: autotrainer 7.1, 15.5

mod before_0_9_21;

pub use before_0_9_21::{AppState, HeadfixState, PelletState, SystemStatusBefore0_9_21};

use serde::{Deserialize, Serialize};

use crate::json::nan_if_null;
use crate::kinds::{AlarmKind, ApplicationMode, DetectorKind, TrainingMode};

/// A place in space.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the three coordinates")]
pub struct Vector {
    #[serde(deserialize_with = "nan_if_null")]
    pub x: f64,
    #[serde(deserialize_with = "nan_if_null")]
    pub y: f64,
    #[serde(deserialize_with = "nan_if_null")]
    pub z: f64,
}

/// A detector's state; sent when either flag changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DetectorStatus {
    /// Which detector.
    pub detector_id: DetectorKind,
    /// Whether it detects something.
    pub is_active: bool,
    /// Whether anybody looks at it.
    pub is_enabled: bool,
}

/// An alarm's state; sent when a flag changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlarmStatus {
    /// Which alarm. Read from `detectorId` too, as one text of 0.9.11 has it (Q11).
    #[serde(alias = "detectorId")]
    pub alarm_id: AlarmKind,
    /// Whether it is raised.
    pub is_active: bool,
    /// Whether anybody looks at it.
    pub is_enabled: bool,
    /// Whether operation resumes when it clears.
    #[serde(default)]
    pub is_auto_resume_enabled: bool,
    /// Whether it stops operation.
    #[serde(default)]
    pub is_stop_condition: bool,
}

/// Counts of pellets and reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "what is counted")]
pub struct ReachStatus {
    pub pellets_presented: i64,
    pub pellets_consumed: i64,
    pub reaches: i64,
    pub successful_reaches: i64,
}

/// An animal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnimalStatus {
    /// Its identifier.
    pub identifier: String,
    /// Its name.
    pub name: String,
    /// Where pellets are sent.
    #[serde(deserialize_with = "nan_if_null")]
    pub dcs_send_x: f64,
    /// Where pellets are sent.
    #[serde(deserialize_with = "nan_if_null")]
    pub dcs_send_y: f64,
    /// Where pellets are sent.
    #[serde(deserialize_with = "nan_if_null")]
    pub dcs_send_z: f64,
    /// How far that may move.
    #[serde(default)]
    pub target_y_limit: Option<f64>,
    /// Since it was created.
    #[serde(default)]
    pub reach_status_total: ReachStatus,
    /// Today.
    #[serde(default)]
    pub reach_status_day: ReachStatus,
}

/// Where data goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectStatus {
    /// The folder of the day.
    pub day_path: String,
    /// The trial.
    pub trial_id: i64,
    /// The session.
    pub session_id: String,
}

/// The device that presents pellets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names say what the device reports")]
pub struct PelletDevice {
    #[serde(deserialize_with = "nan_if_null")]
    pub dcs_send_x: f64,
    #[serde(deserialize_with = "nan_if_null")]
    pub dcs_send_y: f64,
    #[serde(deserialize_with = "nan_if_null")]
    pub dcs_send_z: f64,
    #[serde(deserialize_with = "nan_if_null")]
    pub dcs_x: f64,
    #[serde(deserialize_with = "nan_if_null")]
    pub dcs_y: f64,
    #[serde(deserialize_with = "nan_if_null")]
    pub dcs_z: f64,
    #[serde(deserialize_with = "nan_if_null")]
    pub load_arm: f64,
    #[serde(deserialize_with = "nan_if_null")]
    pub barrier_arm: f64,
    pub is_barrier_arm_active: bool,
    pub is_home_on_excessive_drift_enabled: bool,
    pub is_tunnel_sweep_enabled: bool,
}

/// The device at the tunnel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names say what the device reports")]
pub struct TunnelDevice {
    #[serde(deserialize_with = "nan_if_null")]
    pub magnet_intensity: f64,
    pub is_gate_open: bool,
    pub is_fan_on: bool,
}

/// What the application does with the animal. A setting keeps its value while one that it depends on is off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are those of the settings")]
pub struct Behavior {
    #[serde(deserialize_with = "nan_if_null")]
    pub baseline_magnet_intensity: f64,
    pub reaches: ReachStatus,
    pub is_live_analysis_enabled: bool,
    pub is_pellet_delivery_enabled: bool,
    pub is_pellet_cover_enabled: bool,
    pub is_intertrial_pellet_shift_enabled: bool,
    pub is_triangle_pellet_distance_detection_enabled: bool,
    pub is_auto_close_gate_on_intertrial_enabled: bool,
    pub is_auto_clamp_enabled: bool,
    pub is_batch_trials_enabled: bool,
}

/// Everything: the answer to `GET_STATUS` and the payload of `systemStatus`, from 0.9.21 on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemStatus {
    /// What the application does.
    pub application_mode: ApplicationMode,
    /// How the animal is trained.
    pub training_mode: TrainingMode,
    /// Which animal.
    #[serde(default)]
    pub animal: Option<AnimalStatus>,
    /// Where data goes.
    pub project: ProjectStatus,
    /// All alarms.
    #[serde(default)]
    pub alarms: Vec<AlarmStatus>,
    /// All detectors.
    #[serde(default)]
    pub detectors: Vec<DetectorStatus>,
    /// The device that presents pellets.
    pub pellet_device: PelletDevice,
    /// The device at the tunnel.
    pub tunnel_device: TunnelDevice,
    /// What the application does with the animal.
    pub behavior: Behavior,
}
