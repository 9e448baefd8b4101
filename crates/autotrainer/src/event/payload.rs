//! What the `context` of an event holds, by its kind. spec: autotrainer 5.2, 15.6

use nodewire_json::Json;
use thiserror::Error;

use super::payloads::{
    ActiveAlarms, ApplicationLaunched, ApplicationModeChanged, CountChange, DeviceCommand,
    DriftReset, EnabledChanged, EngagedChanged, HomeReset, MeasuredBaseline, MeasuredDelay,
    MeasuredFrequency, MeasuredIntensity, NewDay, Project, ProjectTrial, Reason, ReleaseTone,
    ResumedAlarms, TrainingModeChanged, TrainingPhase, TrainingPlan,
};
use super::session_payloads::{
    BatchAnalysisEnded, BatchAnalysisStarted, IntertrialResponse, PelletShift, SessionEnded,
    SessionStarted, Trial, TrialAnalysis, TrialAnalysisError, TrialAnalysisSave, TrialEnded,
    TrialReachEvents, TrialStarted,
};
use crate::json::{EncodeError, encode};
use crate::property_change::PropertyChange;
use crate::status::{
    AlarmStatus, AnimalStatus, DetectorStatus, SystemStatus, SystemStatusBefore0_9_21,
};

/// Every documented payload stands here once.
macro_rules! payloads {
    ($($(#[doc = $doc:literal])+ $shape:ident($payload:ty),)+) => {
        /// Which payload a kind of event has.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum PayloadShape {
            /// Null.
            None,
            /// Anything, or nothing; no contract.
            Free,
            $($(#[doc = $doc])+ $shape,)+
        }

        /// The payload of an event.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum EventPayload {
            /// Null.
            None,
            /// What has no contract, as it was received.
            Free(Json),
            $($(#[doc = $doc])+ $shape($payload),)+
        }

        impl EventPayload {
            /// Which payload this is.
            #[must_use]
            pub const fn shape(&self) -> PayloadShape {
                match self {
                    Self::None => PayloadShape::None,
                    Self::Free(_) => PayloadShape::Free,
                    $(Self::$shape(_) => PayloadShape::$shape,)+
                }
            }

            /// Reads a `context`. Null is [`Self::None`] whatever the kind: applications leave contexts out.
            ///
            /// # Errors
            /// If the context is not what its kind promises; it can still be looked into as it is.
            pub fn decode(shape: PayloadShape, context: &Json) -> Result<Self, PayloadError> {
                let failed = |source| PayloadError { shape, source };
                match shape {
                    PayloadShape::AnimalSelected if context.is_null() => Ok(Self::AnimalSelected(None)),
                    _ if context.is_null() => Ok(Self::None),
                    PayloadShape::None | PayloadShape::Free => Ok(Self::Free(context.clone())),
                    $(PayloadShape::$shape => context.decode().map(Self::$shape).map_err(failed),)+
                }
            }

            /// The `context`, with the keys of the wire. What is free is written as it is; see
            /// [`camelize_keys`](crate::casing::camelize_keys).
            ///
            /// # Errors
            /// If a value has no JSON form.
            pub fn to_context(&self) -> Result<Json, EncodeError> {
                match self {
                    Self::None => Ok(Json::null()),
                    Self::Free(context) => Ok(context.clone()),
                    $(Self::$shape(payload) => encode(payload),)+
                }
            }
        }
    };
}

payloads! {
    /// Why it was stopped.
    EmergencyStop(ActiveAlarms),
    /// Why it was resumed.
    EmergencyResume(ResumedAlarms),
    /// The application's version.
    ApplicationLaunched(ApplicationLaunched),
    /// Why something ended.
    Reason(Reason),
    /// The mode it is in now.
    ApplicationMode(ApplicationModeChanged),
    /// A property and its two values.
    PropertyChange(PropertyChange),
    /// Everything, from 0.9.17 on.
    SystemStatus(Box<SystemStatus>),
    /// Everything, up to 0.9.16.
    OldSystemStatus(Box<SystemStatusBefore0_9_21>),
    /// Where data goes.
    Project(Project),
    /// Which trial's data goes there.
    ProjectTrial(ProjectTrial),
    /// What joins a command to the hardware with its acknowledgement.
    DeviceCommand(DeviceCommand),
    /// After how many cycles.
    HomeReset(HomeReset),
    /// How far it had drifted.
    DriftReset(DriftReset),
    /// Which trial, and why.
    TrialStarted(TrialStarted),
    /// Which trial.
    Trial(Trial),
    /// Which trial, and how.
    TrialEnded(TrialEnded),
    /// Which batch.
    BatchAnalysisStarted(BatchAnalysisStarted),
    /// Which batch, and how.
    BatchAnalysisEnded(BatchAnalysisEnded),
    /// Which session.
    SessionStarted(SessionStarted),
    /// Which session, and how many trials.
    SessionEnded(SessionEnded),
    /// Whether it is enabled now.
    Enabled(EnabledChanged),
    /// The baseline.
    Baseline(MeasuredBaseline),
    /// The intensity.
    Intensity(MeasuredIntensity),
    /// The frequency.
    Frequency(MeasuredFrequency),
    /// The delay.
    Delay(MeasuredDelay),
    /// The tone.
    Tone(ReleaseTone),
    /// Which analysis.
    Analysis(TrialAnalysis),
    /// Which analysis, and what went wrong.
    AnalysisError(TrialAnalysisError),
    /// Which analysis, and where it was saved.
    AnalysisSave(TrialAnalysisSave),
    /// What an analysis found.
    IntertrialResponse(Box<IntertrialResponse>),
    /// By how much a count changed.
    CountChange(CountChange),
    /// Which day.
    DayStarted(NewDay),
    /// The reaches of a trial.
    TrialReachEvents(TrialReachEvents),
    /// How far the pellet's place shifts.
    PelletShift(PelletShift),
    /// Whether it is engaged now.
    Engaged(EngagedChanged),
    /// The mode it is in now.
    TrainingMode(TrainingModeChanged),
    /// Which plan.
    TrainingPlan(TrainingPlan),
    /// Which phase.
    TrainingPhase(TrainingPhase),
    /// A detector.
    Detector(DetectorStatus),
    /// An alarm.
    Alarm(AlarmStatus),
    /// An animal.
    Animal(Box<AnimalStatus>),
    /// The animal that is selected, if any.
    AnimalSelected(Option<Box<AnimalStatus>>),
}

/// A `context` that is not what its kind of event promises.
#[derive(Debug, Error)]
#[error("the context is no {shape:?} payload: {source}")]
pub struct PayloadError {
    /// What was expected.
    pub shape: PayloadShape,
    /// What is wrong.
    pub source: nodewire_json::DecodeError,
}
