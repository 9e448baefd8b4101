//! Payloads about sessions, trials and their analysis.

#![expect(
    missing_docs,
    reason = "the fields are those of the protocol, and named as there"
)]

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::json::nan_if_null;
use crate::kinds::{PelletShiftSource, ReachMethod, ReachOutcome, TrialResult};
use crate::status::Vector;

/// A session that started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionStarted {
    pub session_id: Uuid,
    pub is_analysis_deferred: bool,
}

/// A session that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionEnded {
    pub session_id: Uuid,
    pub capture_trial_count: i64,
    pub analysis_trial_count: i64,
    pub failed_trial_count: i64,
}

/// A trial. A `batchId` that some events of this shape still carry is deprecated and ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    pub session_id: Uuid,
    pub trial_id: i64,
}

/// A trial that started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrialStarted {
    pub session_id: Uuid,
    pub trial_id: i64,
    pub reason: String,
}

/// A trial that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrialEnded {
    pub session_id: Uuid,
    pub trial_id: i64,
    pub result: TrialResult,
}

/// A batch whose analysis started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchAnalysisStarted {
    pub session_id: Uuid,
    pub batch_id: Uuid,
    pub analysis_trial_count: i64,
}

/// A batch whose analysis ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchAnalysisEnded {
    pub session_id: Uuid,
    pub batch_id: Uuid,
    pub analysis_trial_count: i64,
    pub failed_trial_count: i64,
}

/// The analysis of a trial, within a batch or by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrialAnalysis {
    pub session_id: Uuid,
    pub trial_id: i64,
    #[serde(default)]
    pub batch_id: Option<Uuid>,
}

/// An analysis that failed, instead of its end or its save.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrialAnalysisError {
    pub session_id: Uuid,
    pub trial_id: i64,
    #[serde(default)]
    pub batch_id: Option<Uuid>,
    pub error: String,
}

/// An analysis that was saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrialAnalysisSave {
    pub session_id: Uuid,
    pub trial_id: i64,
    #[serde(default)]
    pub batch_id: Option<Uuid>,
    pub location: String,
}

/// What an analysis found, and of which trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IntertrialResponse {
    pub session_id: Uuid,
    pub trial_id: i64,
    #[serde(default)]
    pub batch_id: Option<Uuid>,
    pub response_data: ResponseData,
}

/// What an analysis found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResponseData {
    #[serde(default)]
    pub rh_max_vp_list: Option<Vec<[f64; 3]>>,
    pub reach_events: Vec<ReachEvent>,
    pub other_events: Vec<ReachEvent>,
    pub hand_events: Vec<ReachEvent>,
    pub food_consumed: i64,
    pub successful_reaches: i64,
    pub total_reaches: i64,
}

/// One reach.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReachEvent {
    /// May be negative.
    pub init: i64,
    #[serde(default)]
    pub end: Option<i64>,
    #[serde(default)]
    pub max: Option<i64>,
    pub method: ReachMethod,
    pub outcome: ReachOutcome,
    /// In seconds.
    #[serde(deserialize_with = "nan_if_null")]
    pub delay_since_presented: f64,
}

/// The reaches of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrialReachEvents {
    pub session_id: Uuid,
    pub trial_id: i64,
    #[serde(default)]
    pub batch_id: Option<Uuid>,
    pub trial_reach_events: Vec<ReachEvent>,
}

/// How far the pellet's place shifts after a trial.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PelletShift {
    pub session_id: Uuid,
    pub trial_id: i64,
    #[serde(default)]
    pub batch_id: Option<Uuid>,
    pub source: PelletShiftSource,
    pub shift: Vector,
    pub deferred: bool,
}
