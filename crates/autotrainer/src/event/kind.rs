//! The kinds of events, with their numbers and payloads at each level. spec: autotrainer 5.2, 15.6

use std::fmt;

use super::payload::PayloadShape;
use crate::enumeration::Member;
use crate::level::ProtocolLevel;

/// Every kind stands here once, with number and payload up to 0.9.16 and from 0.9.17 on.
macro_rules! kinds {
    ($($variant:ident = $name:literal [$($old:literal $old_shape:ident)?] [$($new:literal $new_shape:ident)?];)+) => {
        /// A kind of event. Its number depends on the level: many numbers were given another meaning in 0.9.17.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum EventKind {
            $(#[doc = concat!("`", $name, "`", $(", ", stringify!($old), " up to 0.9.16",)? $(", ", stringify!($new), " from 0.9.17 on",)? ".")]
            $variant,)+
        }

        impl EventKind {
            /// Its canonical name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }

        const OLD: &[Row] = &[$($(Row {
            kind: EventKind::$variant,
            number: $old,
            shape: PayloadShape::$old_shape,
        },)?)+];
        const NEW: &[Row] = &[$($(Row {
            kind: EventKind::$variant,
            number: $new,
            shape: PayloadShape::$new_shape,
        },)?)+];
    };
}

kinds! {
    EmergencyStop = "emergencyStop" [101 EmergencyStop] [101 EmergencyStop];
    EmergencyResume = "emergencyResume" [102 EmergencyResume] [102 EmergencyResume];
    ApplicationLaunched = "applicationLaunched" [201 Free] [201 ApplicationLaunched];
    ApplicationTerminating = "applicationTerminating" [202 Free] [202 Reason];
    ApplicationModeChanged = "applicationModeChanged" [] [301 ApplicationMode];
    AcquisitionStarted = "acquisitionStarted" [301 Free] [];
    AcquisitionEnded = "acquisitionEnded" [305 Free] [];
    CalibrationDcsStarted = "calibrationDcsStarted" [310 Free] [];
    CalibrationDcsCompleted = "calibrationDcsCompleted" [] [311 None];
    CalibrationDcsFailed = "calibrationDcsFailed" [] [312 Reason];
    CalibrationDcsEnded = "calibrationDcsEnded" [315 Free] [];
    Calibration3dStarted = "calibration3dStarted" [320 Free] [];
    Calibration3dCompleted = "calibration3dCompleted" [] [321 None];
    Calibration3dFailed = "calibration3dFailed" [] [322 Reason];
    Calibration3dEnded = "calibration3dEnded" [325 Free] [];
    PropertyChanged = "propertyChanged" [501 PropertyChange] [501 PropertyChange];
    SystemStatus = "systemStatus" [601 OldSystemStatus] [601 SystemStatus];
    ProjectChanged = "projectChanged" [] [701 Project];
    ProjectTrialChanged = "projectTrialChanged" [] [702 ProjectTrial];
    AlgorithmPause = "algorithmPause" [1001 Free] [1001 None];
    AlgorithmResume = "algorithmResume" [1002 Free] [1002 None];
    TunnelEnter = "tunnelEnter" [1101 Free] [1101 None];
    TunnelExit = "tunnelExit" [1102 Free] [1102 None];
    PelletLoadCan = "pelletLoadCan" [1201 Free] [];
    PelletLoadBegin = "pelletLoadBegin" [1202 Free] [1202 DeviceCommand];
    PelletLoadEnd = "pelletLoadEnd" [1203 Free] [1203 DeviceCommand];
    PelletSendCan = "pelletSendCan" [1204 Free] [];
    PelletSendBegin = "pelletSendBegin" [1205 Free] [1205 DeviceCommand];
    PelletSendEnd = "pelletSendEnd" [1206 Free] [1206 DeviceCommand];
    PelletCoverCan = "pelletCoverCan" [1207 Free] [];
    PelletCoverBegin = "pelletCoverBegin" [1208 Free] [1208 DeviceCommand];
    PelletCoverEnd = "pelletCoverEnd" [1209 Free] [1209 DeviceCommand];
    PelletReleaseCan = "pelletReleaseCan" [1210 Free] [];
    PelletReleaseBegin = "pelletReleaseBegin" [1211 Free] [1211 DeviceCommand];
    PelletReleaseEnd = "pelletReleaseEnd" [1212 Free] [1212 DeviceCommand];
    PelletHomeCan = "pelletHomeCan" [1213 Free] [];
    PelletHomeBegin = "pelletHomeBegin" [1214 Free] [1214 DeviceCommand];
    PelletHomeEnd = "pelletHomeEnd" [1215 Free] [1215 DeviceCommand];
    PelletPrereleaseCan = "pelletPrereleaseCan" [1216 Free] [];
    PelletPrereleaseBegin = "pelletPrereleaseBegin" [1217 Free] [];
    PelletPrereleaseEnd = "pelletPrereleaseEnd" [1218 Free] [];
    PelletRetractCan = "pelletRetractCan" [1219 Free] [];
    PelletRetractBegin = "pelletRetractBegin" [1220 Free] [1220 DeviceCommand];
    PelletRetractEnd = "pelletRetractEnd" [1221 Free] [1221 DeviceCommand];
    PelletHomeReset = "pelletHomeReset" [] [1222 HomeReset];
    PelletHomeResetBegin = "pelletHomeResetBegin" [1222 Free] [];
    PelletDriftReset = "pelletDriftReset" [] [1223 DriftReset];
    PelletHomeResetEnd = "pelletHomeResetEnd" [1223 Free] [];
    TunnelGateOpenBegin = "tunnelGateOpenBegin" [] [1230 DeviceCommand];
    TunnelGateOpenEnd = "tunnelGateOpenEnd" [] [1231 DeviceCommand];
    TunnelGateCloseBegin = "tunnelGateCloseBegin" [] [1232 DeviceCommand];
    TunnelGateCloseEnd = "tunnelGateCloseEnd" [] [1233 DeviceCommand];
    TunnelFanOnBegin = "tunnelFanOnBegin" [] [1235 DeviceCommand];
    TunnelFanOnEnd = "tunnelFanOnEnd" [] [1236 DeviceCommand];
    TunnelFanOffBegin = "tunnelFanOffBegin" [] [1237 DeviceCommand];
    TunnelFanOffEnd = "tunnelFanOffEnd" [] [1238 DeviceCommand];
    PelletAcknowledgeToken = "pelletAcknowledgeToken" [1298 Free] [];
    PelletExternalToken = "pelletExternalToken" [1299 Free] [];
    TrialStarted = "trialStarted" [] [1301 TrialStarted];
    SessionStarting = "sessionStarting" [1301 Free] [];
    SessionEnding = "sessionEnding" [1303 Free] [];
    TrialCaptureEnded = "trialCaptureEnded" [] [1305 Trial];
    TrialEnded = "trialEnded" [] [1311 TrialEnded];
    SessionPelletIncrease = "sessionPelletIncrease" [1311 Free] [];
    SessionPelletDecrease = "sessionPelletDecrease" [1312 Free] [];
    BatchAnalysisStarted = "batchAnalysisStarted" [] [1321 BatchAnalysisStarted];
    SessionMouseSeen = "sessionMouseSeen" [1321 Free] [];
    BatchAnalysisEnded = "batchAnalysisEnded" [] [1322 BatchAnalysisEnded];
    SessionStarted = "sessionStarted" [1302 Free] [1331 SessionStarted];
    SessionEnded = "sessionEnded" [1304 Free] [1332 SessionEnded];
    HeadfixLoadCellEnabledChanged = "headfixLoadCellEnabledChanged" [] [1401 Enabled];
    HeadfixLoadCellChangedInIntersession = "headfixLoadCellChangedInIntersession" [1603 Free] [1405 Enabled];
    HeadfixLoadCellChangedWrongState = "headfixLoadCellChangedWrongState" [1604 Free] [1406 Enabled];
    DayIncreasePellet = "dayIncreasePellet" [1411 Free] [];
    HeadfixAutoTare = "headfixAutoTare" [1611 Free] [1411 None];
    DayDecreasePellet = "dayDecreasePellet" [1412 Free] [];
    HeadFixationForceDetectorChanged = "headFixationForceDetectorChanged" [1801 Free] [1421 Enabled];
    TrialAnimalSeen = "trialAnimalSeen" [] [1501 Trial];
    PelletSeen = "pelletSeen" [1501 Free] [];
    TrialRightHandSeen = "trialRightHandSeen" [] [1502 Trial];
    PelletPresented = "pelletPresented" [1502 Free] [];
    TrialPelletSeen = "trialPelletSeen" [] [1503 Trial];
    PelletSuccessfulReach = "pelletSuccessfulReach" [1503 Free] [];
    TriangleSeen = "triangleSeen" [1550 Free] [];
    HeadfixBaselineChanged = "headfixBaselineChanged" [1601 Free] [1601 Baseline];
    HeadfixLoadCellChanged = "headfixLoadCellChanged" [1602 Free] [];
    AutoClampEnabledChanged = "autoClampEnabledChanged" [] [1611 Enabled];
    AutoClampIntensityChanged = "autoClampIntensityChanged" [1621 Free] [1612 Intensity];
    AutoClampReleaseToneFreqChanged = "autoClampReleaseToneFreqChanged" [1622 Free] [1613 Frequency];
    AutoClampReleaseDelayChanged = "autoClampReleaseDelayChanged" [1623 Free] [1614 Delay];
    AutoClampEngaged = "autoClampEngaged" [] [1621 Intensity];
    AutoClampPreDisengage = "autoClampPreDisengage" [] [1622 Intensity];
    AutoClampPlayReleaseTone = "autoClampPlayReleaseTone" [] [1623 Tone];
    AutoClampDisengaged = "autoClampDisengaged" [] [1624 Intensity];
    IntertrialSegmentationBegin = "intertrialSegmentationBegin" [] [1701 Analysis];
    IntersessionSegmentationCan = "intersessionSegmentationCan" [1701 Free] [];
    IntertrialSegmentationEnd = "intertrialSegmentationEnd" [] [1702 Analysis];
    IntersessionSegmentationBegin = "intersessionSegmentationBegin" [1702 Free] [];
    IntertrialSegmentationError = "intertrialSegmentationError" [] [1703 AnalysisError];
    IntersessionSegmentationEnd = "intersessionSegmentationEnd" [1703 Free] [];
    IntertrialSegmentationSave = "intertrialSegmentationSave" [] [1704 AnalysisSave];
    IntersessionSegmentationNonceMismatch = "intersessionSegmentationNonceMismatch" [1704 Free] [];
    IntertrialSegmentationSaveError = "intertrialSegmentationSaveError" [] [1705 AnalysisError];
    IntersessionSegmentationError = "intersessionSegmentationError" [1705 Free] [];
    IntersessionSegmentationSave = "intersessionSegmentationSave" [1706 Free] [];
    IntersessionSegmentationSaveError = "intersessionSegmentationSaveError" [1707 Free] [];
    IntersessionSegmentationInputError = "intersessionSegmentationInputError" [1708 Free] [];
    IntertrialDetectionBegin = "intertrialDetectionBegin" [] [1711 Analysis];
    IntersessionDetectionCan = "intersessionDetectionCan" [1711 Free] [];
    IntertrialDetectionEnd = "intertrialDetectionEnd" [] [1712 Analysis];
    IntersessionDetectionBegin = "intersessionDetectionBegin" [1712 Free] [];
    IntertrialDetectionError = "intertrialDetectionError" [] [1713 AnalysisError];
    IntersessionDetectionEnd = "intersessionDetectionEnd" [1713 Free] [];
    IntertrialDetectionSave = "intertrialDetectionSave" [] [1714 AnalysisSave];
    IntersessionDetectionNonceMismatch = "intersessionDetectionNonceMismatch" [1714 Free] [];
    IntertrialDetectionSaveError = "intertrialDetectionSaveError" [] [1715 AnalysisError];
    IntersessionDetectionError = "intersessionDetectionError" [1715 Free] [];
    IntersessionDetectionSave = "intersessionDetectionSave" [1716 Free] [];
    IntersessionDetectionSaveError = "intersessionDetectionSaveError" [1717 Free] [];
    IntertrialResponse = "intertrialResponse" [] [1720 IntertrialResponse];
    IntersessionShiftX = "intersessionShiftX" [1731 Free] [];
    IntersessionShiftY = "intersessionShiftY" [1732 Free] [];
    IntersessionShiftZ = "intersessionShiftZ" [1733 Free] [];
    PelletPresentedCountChanged = "pelletPresentedCountChanged" [] [1800 CountChange];
    PelletConsumedCountChanged = "pelletConsumedCountChanged" [] [1802 CountChange];
    HeadFixationEnabled = "headFixationEnabled" [1802 Free] [];
    ReachCountChanged = "reachCountChanged" [] [1803 CountChange];
    SuccessfulReachesCountChanged = "successfulReachesCountChanged" [] [1804 CountChange];
    DayStarted = "dayStarted" [1401 Free] [1811 DayStarted];
    DayPelletPresentedCountChanged = "dayPelletPresentedCountChanged" [] [1812 CountChange];
    DayPelletConsumedCountChanged = "dayPelletConsumedCountChanged" [] [1813 CountChange];
    DayReachCountChanged = "dayReachCountChanged" [] [1814 CountChange];
    DaySuccessfulReachesCountChanged = "daySuccessfulReachesCountChanged" [] [1815 CountChange];
    TrialPelletPresented = "trialPelletPresented" [] [1901 Trial];
    TrialReachEvents = "trialReachEvents" [] [1911 TrialReachEvents];
    IntertrialPelletShift = "intertrialPelletShift" [] [1921 PelletShift];
    DeviceCommandSend = "deviceCommandSend" [2001 Free] [2001 DeviceCommand];
    DeviceCommandAcknowledge = "deviceCommandAcknowledge" [2002 Free] [2002 DeviceCommand];
    LoadCellEngagedChanged = "loadCellEngagedChanged" [4001 Free] [4001 Engaged];
    HeadbarPressureEngagedChanged = "headbarPressureEngagedChanged" [4011 Free] [4011 Engaged];
    TrainingModeChanged = "trainingModeChanged" [5001 TrainingMode] [5001 TrainingMode];
    TrainingPlanLoad = "trainingPlanLoad" [5101 TrainingPlan] [5101 TrainingPlan];
    TrainingPhaseEnter = "trainingPhaseEnter" [5201 TrainingPhase] [5201 TrainingPhase];
    TrainingPhaseExit = "trainingPhaseExit" [5202 TrainingPhase] [5202 TrainingPhase];
    TrainingProgressUpdate = "trainingProgressUpdate" [5501 Free] [5501 TrainingPhase];
    ProtocolEvent = "protocolEvent" [] [5801 Free];
    ProtocolPlanEvent = "protocolPlanEvent" [] [5811 Free];
    ProtocolPhaseEvent = "protocolPhaseEvent" [] [5821 Free];
    ProtocolPredicateEvent = "protocolPredicateEvent" [] [5831 Free];
    ProtocolActionEvent = "protocolActionEvent" [] [5841 Free];
    ProtocolProgressEvent = "protocolProgressEvent" [] [5851 Free];
    DetectorChanged = "detectorChanged" [6001 Detector] [6001 Detector];
    AlarmChanged = "alarmChanged" [6501 Alarm] [6501 Alarm];
    AnimalCreated = "animalCreated" [] [7001 Animal];
    AnimalUpdated = "animalUpdated" [] [7002 Animal];
    AnimalSelected = "animalSelected" [] [7003 AnimalSelected];
    Unknown = "unknown" [] [999999 None];
}

/// One kind at one level.
#[derive(Debug, Clone, Copy)]
struct Row {
    kind: EventKind,
    number: i64,
    shape: PayloadShape,
}

/// Second names that 0.9.11 has for two numbers; on the wire they cannot be told apart. spec: autotrainer 14 (Q9)
const ALIASES: [(&str, EventKind); 2] = [
    ("pelletDriftResetBegin", EventKind::PELLET_DRIFT_RESET_BEGIN),
    ("pelletDriftResetEnd", EventKind::PELLET_DRIFT_RESET_END),
];

impl EventKind {
    /// The other name of [`Self::PelletHomeResetBegin`], 1222 up to 0.9.16.
    pub const PELLET_DRIFT_RESET_BEGIN: Self = Self::PelletHomeResetBegin;
    /// The other name of [`Self::PelletHomeResetEnd`], 1223 up to 0.9.16.
    pub const PELLET_DRIFT_RESET_END: Self = Self::PelletHomeResetEnd;

    /// The kind that this number means at this level.
    ///
    /// ```
    /// use autotrainer_api::{EventKind, ProtocolLevel};
    ///
    /// let kind = |level| EventKind::from_number(1401, level);
    /// assert_eq!(kind(ProtocolLevel::V0_9_11), Some(EventKind::DayStarted));
    /// assert_eq!(kind(ProtocolLevel::V0_12_0), Some(EventKind::HeadfixLoadCellEnabledChanged));
    /// ```
    #[must_use]
    pub fn from_number(number: i64, level: ProtocolLevel) -> Option<Self> {
        let row = table(level).iter().find(|row| row.number == number)?;
        Some(row.kind)
    }

    /// Its number at this level; `None` if there is none.
    #[must_use]
    pub fn number(self, level: ProtocolLevel) -> Option<i64> {
        self.row(level).map(|row| row.number)
    }

    /// What its `context` holds at this level; `None` if the level does not have this kind.
    #[must_use]
    pub fn shape(self, level: ProtocolLevel) -> Option<PayloadShape> {
        self.row(level).map(|row| row.shape)
    }

    /// All names at this level, for [`resolve`](crate::resolve); of a number with two, the canonical one first.
    pub fn members(level: ProtocolLevel) -> impl Iterator<Item = Member<Self>> {
        table(level).iter().flat_map(move |row| {
            let aliases = ALIASES.iter().filter(|(_, kind)| *kind == row.kind);
            std::iter::once(row.kind.name())
                .chain(aliases.map(|(name, _)| *name))
                .map(|name| Member {
                    name,
                    value: row.number,
                    member: row.kind,
                })
        })
    }

    fn row(self, level: ProtocolLevel) -> Option<&'static Row> {
        table(level).iter().find(|row| row.kind == self)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn table(level: ProtocolLevel) -> &'static [Row] {
    if level.has_new_event_kinds() {
        NEW
    } else {
        OLD
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{EventKind, NEW, OLD};
    use crate::level::ProtocolLevel;

    #[test]
    fn as_many_names_and_values_as_the_peer_has() {
        let count = |level| {
            let members: Vec<_> = EventKind::members(level).collect();
            let values: HashSet<i64> = members.iter().map(|member| member.value).collect();
            let names: HashSet<&str> = members.iter().map(|member| member.name).collect();
            assert_eq!(names.len(), members.len());
            (names.len(), values.len())
        };
        assert_eq!(count(ProtocolLevel::V0_9_11), (96, 94));
        assert_eq!(count(ProtocolLevel::V0_12_0), (107, 107));
    }

    #[test]
    fn numbers_and_kinds_are_one_to_one() {
        for (rows, level) in [(OLD, ProtocolLevel::V0_9_16), (NEW, ProtocolLevel::V0_9_17)] {
            for row in rows {
                assert_eq!(EventKind::from_number(row.number, level), Some(row.kind));
                assert_eq!(row.kind.number(level), Some(row.number));
            }
        }
    }

    #[test]
    fn kinds_that_moved() {
        for (kind, old, new) in [
            (EventKind::SessionStarted, 1302, 1331),
            (EventKind::SessionEnded, 1304, 1332),
            (EventKind::DayStarted, 1401, 1811),
            (EventKind::HeadfixLoadCellChangedInIntersession, 1603, 1405),
            (EventKind::HeadfixLoadCellChangedWrongState, 1604, 1406),
            (EventKind::HeadfixAutoTare, 1611, 1411),
            (EventKind::AutoClampIntensityChanged, 1621, 1612),
            (EventKind::AutoClampReleaseToneFreqChanged, 1622, 1613),
            (EventKind::AutoClampReleaseDelayChanged, 1623, 1614),
            (EventKind::HeadFixationForceDetectorChanged, 1801, 1421),
        ] {
            assert_eq!(kind.number(ProtocolLevel::V0_9_11), Some(old));
            assert_eq!(kind.number(ProtocolLevel::NEWEST), Some(new));
        }
        assert_eq!(
            EventKind::AcquisitionStarted.number(ProtocolLevel::NEWEST),
            None
        );
    }
}
