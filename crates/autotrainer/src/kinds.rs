//! The protocol's enumerations. spec: autotrainer 5.2, 15.5

use crate::enumeration::{integers, strings};

integers! {
    /// What the application does, up to 0.9.20.
    AppStatus {
        Idle = 0 "IDLE",
        Acquiring = 100 "ACQUIRING",
        CalibrationDcs = 200 "CALIBRATION_DCS",
        Calibration3d = 300 "CALIBRATION_3D",
    }
    /// What the application does, from 0.9.21 on.
    ApplicationMode {
        Idle = 0 "IDLE",
        Running = 100 "RUNNING",
        InDevice = 200 "IN_DEVICE",
        InTraining = 300 "IN_TRAINING",
        CalibrationDcs = 1000 "CALIBRATION_DCS",
        Calibration3d = 1100 "CALIBRATION_3D",
    }
    /// How an animal is trained.
    TrainingMode {
        Undefined = 0 "UNDEFINED",
        Manual = 100 "MANUAL",
        ManualWithProtocol = 200 "MANUAL_WITH_PROTOCOL",
        Automatic = 300 "AUTOMATIC",
    }
    /// What an alarm is about. The last two are no emergencies.
    AlarmKind {
        ExternalDoors = 101 "externalDoors",
        AnimalMissing = 201 "animalMissing",
        AnimalImmobile = 210 "animalImmobile",
        Thrashing = 301 "thrashing",
        DeviceCommunication = 401 "deviceCommunication",
        SystemFault = 501 "systemFault",
        SystemMaintenance = 601 "systemMaintenance",
        AnimalEvasion = 701 "animalEvasion",
        AnimalWelfare = 801 "animalWelfare",
    }
    /// What a detector looks for.
    DetectorKind {
        FrontDoor = 101 "frontDoor",
        SlidingDoor = 102 "slidingDoor",
        LoadCellThrash = 201 "loadCellThrash",
        AudioThrash = 202 "audioThrash",
        PelletMisplaced = 301 "pelletMisplaced",
        DeviceAckTimeOut = 401 "deviceAckTimeOut",
        PelletStatusMessageInterruption = 411 "pelletStatusMessageInterruption",
        TunnelStatusMessageInterruption = 412 "tunnelStatusMessageInterruption",
        LowFreeDiskSpace = 501 "lowFreeDiskSpace",
        MainThreadFrozen = 511 "mainThreadFrozen",
        BoardUnexpectedReset = 521 "boardUnexpectedReset",
        PelletRefillCountExceeded = 601 "pelletRefillCountExceeded",
        CageCleaningRequired = 610 "cageCleaningRequired",
        ConsecutivePelletLoadFailureExceeded = 620 "consecutivePelletLoadFailureExceeded",
        AnimalAutoClampEvasion = 701 "animalAutoClampEvasion",
        AnimalLowPelletsConsumedPerDay = 801 "animalLowPelletsConsumedPerDay",
        AnimalImmobile = 99999 "animalImmobile",
    }
    /// Who stopped it.
    EmergencyStopReason {
        Unspecified = 0 "unknown",
        AlarmMonitor = 101 "alarm_monitor",
        DiamondCoordCheck = 201 "diamond_coord_check",
        UserButton = 301 "user_button",
        RpcService = 401 "rpc_service",
    }
    /// Who resumed it.
    EmergencyResumeReason {
        Unspecified = 0 "unknown",
        AlarmMonitorResume = 101 "alarm_monitor_resume",
        AlarmMonitorStatusChange = 201 "alarm_monitor_status_change",
        UserButton = 301 "user_button",
        RpcService = 401 "rpc_service",
    }
    /// Why the pellet's place shifts.
    PelletShiftSource {
        ReachFailures = 1 "REACH_FAILURES",
        TongueEaten = 2 "TONGUE_EATEN",
    }
}

strings! {
    /// How a trial ended.
    TrialResult {
        CaptureOnly = "capture_only",
        AnalysisSucceeded = "analysis_succeeded",
        AnalysisFailed = "analysis_failed",
        AnalysisDelayed = "analysis_delayed",
    }
    /// What the animal reached with.
    ReachMethod {
        None = "none",
        Other = "other",
        RightHand = "right_hand",
        LeftHand = "left_hand",
        Tongue = "tongue",
    }
    /// What came of a reach.
    ReachOutcome {
        None = "none",
        Stalled = "stalled",
        Missed = "missed",
        Dropped = "dropped",
        Grabbed = "grabbed",
        Eaten = "eaten",
    }
}
