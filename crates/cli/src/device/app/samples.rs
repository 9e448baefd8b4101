//! What a device of ours answers when nobody says otherwise. spec: autotrainer 7.1, 13, 15.3, Q26

use autotrainer_api::command::data::{
    Configuration, SetApplicationMode, SetEnabled, SetTrainingMode,
};
use autotrainer_api::status::{
    AppState, Behavior, PelletDevice, ProjectStatus, SystemStatus, TunnelDevice,
};
use autotrainer_api::{
    AppStatus, ApplicationMode, Command, CommandRequest, CommandResponse, ProtocolLevel,
    ResultCode, TrainingMode,
};
use serde_json::json;

/// The answer of a device that does nothing: what is asked for is as if it were done.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "commands without data are answered as the peer's sample does, those to come too"
)]
pub(super) fn answer(request: &CommandRequest, level: ProtocolLevel) -> CommandResponse {
    let done = CommandResponse::success();
    match request.command {
        Command::None => done,
        Command::GetConfiguration => done.with_data(&configuration(level)),
        Command::GetStatus if level.has_new_commands() => done.with_data(&system_status()),
        Command::GetStatus => done.with_data(&app_state()),
        Command::GetAnimals => done.with_data(&json!([])),
        Command::SetApplicationMode => match request.decode_data::<SetApplicationMode>() {
            Ok(set) if set.mode.name().is_some() => done.with_data(&set),
            _ => refused().with_data(&SetApplicationMode {
                mode: ApplicationMode::Idle,
            }),
        },
        Command::SetTrainingMode => match request.decode_data::<SetTrainingMode>() {
            Ok(set) if set.mode.name().is_some() => done.with_data(&set),
            _ => refused().with_data(&SetTrainingMode {
                mode: TrainingMode::Manual,
            }),
        },
        command if is_setting(command) => match request.decode_data::<SetEnabled>() {
            Ok(set) => done.with_data(&set),
            Err(_) => refused().with_data(&SetEnabled { enabled: false }),
        },
        _ => done.with_data(&json!({"seen": true})),
    }
}

fn refused() -> CommandResponse {
    CommandResponse::new(ResultCode::Failed)
}

/// The commands 1000 to 1090. spec: autotrainer 15.3
fn is_setting(command: Command) -> bool {
    let number = command.number(ProtocolLevel::NEWEST);
    number.is_some_and(|number| (1000..=1090).contains(&number))
}

fn configuration(level: ProtocolLevel) -> Configuration {
    Configuration {
        application_version: level.to_string(),
        device_id: "nodewire".to_owned(),
        configuration_location: "/var/lib/autotrainer/configuration".to_owned(),
        data_location: "/var/lib/autotrainer/data".to_owned(),
        animal_location: "/var/lib/autotrainer/animals".to_owned(),
        log_location: "/var/log/autotrainer".to_owned(),
        inference_model: "none".to_owned(),
    }
}

fn app_state() -> AppState {
    AppState {
        app_status: AppStatus::Idle,
        training_mode: TrainingMode::Manual,
        animal_id: "123456".to_owned(),
    }
}

fn system_status() -> SystemStatus {
    SystemStatus {
        application_mode: ApplicationMode::Idle,
        training_mode: TrainingMode::Manual,
        animal: None,
        project: ProjectStatus::default(),
        alarms: Vec::new(),
        detectors: Vec::new(),
        pellet_device: PelletDevice::default(),
        tunnel_device: TunnelDevice::default(),
        behavior: Behavior::default(),
    }
}
