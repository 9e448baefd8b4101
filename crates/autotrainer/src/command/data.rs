//! The documented data of requests and responses. spec: autotrainer 7.1, 15.3

use serde::{Deserialize, Serialize};

use crate::kinds::{ApplicationMode, TrainingMode};

pub use crate::status::{AnimalStatus, AppState, SystemStatus};

/// The answer to `GET_CONFIGURATION`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "the fields are those of the protocol, and named as there"
)]
pub struct Configuration {
    pub application_version: String,
    pub device_id: String,
    pub configuration_location: String,
    pub data_location: String,
    pub animal_location: String,
    pub log_location: String,
    pub inference_model: String,
}

/// Request and response of `SET_APPLICATION_MODE`; in a response, the mode that is in effect whatever came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetApplicationMode {
    /// The mode.
    pub mode: ApplicationMode,
}

/// Request and response of `SET_TRAINING_MODE`; in a response, the mode that is in effect whatever came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetTrainingMode {
    /// The mode.
    pub mode: TrainingMode,
}

/// Request and response of the commands 1000 to 1090; in a response, what is in effect afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetEnabled {
    /// Whether it is on.
    pub enabled: bool,
}

/// The answer to `GET_ANIMALS`, in no particular order.
pub type Animals = Vec<AnimalStatus>;
