//! The handler of all commands.

use std::sync::Arc;
use std::time::Duration;

use autotrainer_api::command::data::Configuration;
use autotrainer_api::event::payloads::{ActiveAlarms, ResumedAlarms};
use autotrainer_api::{
    Command, CommandRequest, CommandResponse, EmergencyResumeReason, EmergencyStopReason,
    EventKind, EventPayload, Handler, Pending, ResultCode,
};
use bytestring::ByteString;
use nodewire_core::{EventSink, ExecutionRequest, Executor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::answers::{self, error_code};
use super::discovery;
use super::executions::{Executions, Nonce};
use super::numbers::{Meaning, Numbers};
use super::request;
use super::sink::{Answer, Outlet, ResultSink};
use super::waits::Waits;
use super::{AutotrainerConfig, AutotrainerError};
use crate::plain::PlainRequest;
use crate::server::{Identity, SOFTWARE};

const BY_COMMAND: &str = "by command";

/// An executor as the handler of an Autotrainer service.
#[derive(Debug)]
pub(super) struct Binding {
    config: AutotrainerConfig,
    executor: Executor,
    identity: Identity,
    numbers: Numbers,
    outlet: Outlet,
    /// Places for answers that wait for their results.
    quick: Arc<Semaphore>,
    waits: Waits,
}

impl Binding {
    /// To be called within a tokio runtime.
    ///
    /// # Errors
    /// If the configured numbers do not go together.
    pub(super) fn new(
        config: AutotrainerConfig,
        executor: Executor,
        identity: Identity,
        outlet: Outlet,
    ) -> Result<Self, AutotrainerError> {
        Ok(Self {
            numbers: Numbers::new(&config)?,
            quick: Arc::new(Semaphore::new(config.quick_max)),
            waits: Waits::start(),
            config,
            executor,
            identity,
            outlet,
        })
    }

    pub(super) fn executions(&self) -> Arc<Executions> {
        Arc::clone(&self.outlet.executions)
    }

    async fn user_defined(&self, request: &CommandRequest, pending: Pending) -> CommandResponse {
        let number = match request::custom_command(request) {
            Ok(Some(number)) => number,
            Ok(None) => return self.by_name(request, pending).await,
            Err(request::NotANumber) => return self.unknown_number(&request.custom_command),
        };
        match self.numbers.meaning(number, self.executor.registry()) {
            Meaning::Nodes => self.tell_nodes(request),
            Meaning::Cancel => self.cancel(request),
            Meaning::Node(uid) => self.by_number(request, &uid, number, pending).await,
            Meaning::Nothing => self.unknown_number(&request.custom_command),
        }
    }

    fn unknown_number(&self, number: &impl std::fmt::Display) -> CommandResponse {
        self.outlet.executions.counters.unknown_numbers.count();
        answers::unknown(&format!(
            "no node has the customCommand {number}; customCommand {} tells which there are",
            self.config.nodes_command
        ))
    }

    async fn by_name(&self, request: &CommandRequest, pending: Pending) -> CommandResponse {
        let plain = match self.read(request) {
            Ok(plain) => plain,
            Err(response) => return response,
        };
        let Some(uid) = plain.node.clone() else {
            self.outlet.executions.counters.unknown_numbers.count();
            return answers::unknown(&format!(
                "the command names no node: set customCommand, or `node` in data; customCommand {} tells which there are",
                self.config.nodes_command
            ));
        };
        let number = self.numbers.of_node(&uid, self.executor.registry());
        self.execute(request, plain, uid, number, pending).await
    }

    async fn by_number(
        &self,
        request: &CommandRequest,
        uid: &str,
        number: i64,
        pending: Pending,
    ) -> CommandResponse {
        let plain = match self.read(request) {
            Ok(plain) => plain,
            Err(response) => return response,
        };
        if let Some(other) = plain.node.as_ref().filter(|other| &***other != uid) {
            self.outlet.executions.counters.unreadable_data.count();
            return answers::invalid(&format!(
                "customCommand {number} is node `{uid}`, but `node` in data says `{other}`"
            ));
        }
        let uid = ByteString::from(uid);
        self.execute(request, plain, uid, Some(number), pending)
            .await
    }

    fn read(&self, request: &CommandRequest) -> Result<PlainRequest, CommandResponse> {
        request::read(request).map_err(|error| {
            self.outlet.executions.counters.unreadable_data.count();
            answers::failed(&error)
        })
    }

    async fn execute(
        &self,
        request: &CommandRequest,
        plain: PlainRequest,
        uid: ByteString,
        number: Option<i64>,
        pending: Pending,
    ) -> CommandResponse {
        let execution = match self.execution(request, plain, uid) {
            Ok(execution) => execution,
            Err(response) => return response,
        };
        match self.quick_place(&execution.node) {
            Some((wait, place)) => {
                self.wait_for(request, execution, number, pending, wait, place)
                    .await
            }
            None => {
                let answer = Answer::Later(pending);
                match self.submit(request, execution, number, answer) {
                    Ok(_) => CommandResponse::new(ResultCode::PendingWithNotification),
                    Err(response) => response,
                }
            }
        }
    }

    fn execution(
        &self,
        request: &CommandRequest,
        plain: PlainRequest,
        uid: ByteString,
    ) -> Result<ExecutionRequest, CommandResponse> {
        let node = self.executor.registry().get(&uid);
        let definition = node.as_ref().map(|node| node.definition());
        let mut execution = plain.into_execution(uid, definition).map_err(|error| {
            self.outlet.executions.counters.unreadable_data.count();
            answers::failed(&error)
        })?;
        if execution.caller_id.is_empty() {
            let nonce = &request.nonce;
            execution.caller_id = nonce.substring(nonce.as_str());
        }
        Ok(execution)
    }

    /// How long the answer waits for the result, with a place for that; `None`: not at all.
    fn quick_place(&self, uid: &str) -> Option<(Duration, OwnedSemaphorePermit)> {
        let wait = self.config.wait_of(uid);
        if wait.is_zero() {
            return None;
        }
        let place = Arc::clone(&self.quick).try_acquire_owned().ok()?;
        Some((wait, place))
    }

    fn submit(
        &self,
        request: &CommandRequest,
        execution: ExecutionRequest,
        number: Option<i64>,
        answer: Answer,
    ) -> Result<Arc<ResultSink>, CommandResponse> {
        let executions = &self.outlet.executions;
        let place = executions.begin(&request.nonce)?;
        let nonce = place.nonce().clone();
        let outlet = self.outlet.clone();
        let sink = ResultSink::new(outlet, request.nonce.clone(), number, answer, place);
        let events: Arc<dyn EventSink> = Arc::<ResultSink>::clone(&sink);
        match self.executor.submit_to(execution, events) {
            Ok(cancel) => {
                executions.submitted(&nonce, cancel);
                Ok(sink)
            }
            Err(refusal) => Err(answers::refused(&refusal)),
        }
    }

    async fn wait_for(
        &self,
        request: &CommandRequest,
        execution: ExecutionRequest,
        number: Option<i64>,
        pending: Pending,
        wait: Duration,
        place: OwnedSemaphorePermit,
    ) -> CommandResponse {
        let (answer, mut result) = oneshot::channel();
        let sink = match self.submit(request, execution, number, Answer::Now(answer)) {
            Ok(sink) => sink,
            Err(response) => return response,
        };
        let waited = self.waits.at_most(wait, &mut result).await;
        drop(place);
        if let Some(Ok(response)) = waited {
            return response;
        }
        match sink.make_later(pending) {
            Ok(()) => CommandResponse::new(ResultCode::PendingWithNotification),
            // It came in the last moment.
            Err(_) => result
                .await
                .unwrap_or_else(|_| CommandResponse::unavailable()),
        }
    }

    fn cancel(&self, request: &CommandRequest) -> CommandResponse {
        let nonce = request.verbatim_data.get("nonce");
        let Some(nonce) = nonce.as_ref().and_then(Nonce::of) else {
            self.outlet.executions.counters.unreadable_data.count();
            return answers::invalid("`data` must be {\"nonce\": …}, the nonce of the execution");
        };
        if self.outlet.executions.cancel(&nonce) {
            return CommandResponse::success();
        }
        let message = "no execution with this nonce is in flight, or it is ending already";
        answers::coded(ResultCode::Failed, error_code::NOT_FOUND, message)
    }

    fn tell_nodes(&self, request: &CommandRequest) -> CommandResponse {
        let uid = match self.read(request) {
            Ok(plain) => plain.node,
            Err(response) => return response,
        };
        let registry = self.executor.registry();
        let told = discovery::Told {
            config: &self.config,
            identity: &self.identity,
            numbers: &self.numbers,
            losses: &self.outlet.losses,
        };
        let told = told.nodes(registry, uid.as_deref());
        let Some(told) = told else {
            return answers::unknown("there is no such node");
        };
        let (bytes, bytes_max) = (told.as_str().len(), self.config.message_bytes_max());
        if bytes > bytes_max / 2 && uid.is_none() {
            let message =
                "there are too many nodes for one message; ask for one with `node` in data";
            let code = error_code::ANSWER_TOO_LONG;
            return answers::coded(ResultCode::Failed, code, message);
        }
        CommandResponse::success().with_verbatim_data(told)
    }

    /// Whatever runs may move the device, whoever asked for it. spec: autotrainer 15.3
    async fn emergency_stop(&self) -> CommandResponse {
        // In this order, so that nothing of this wire gets in between.
        self.outlet.executions.stop();
        let cancelled = self.executor.cancel_all();
        tracing::warn!(
            cancelled,
            "emergency stop: everything on this server was cancelled"
        );
        let payload = EventPayload::EmergencyStop(ActiveAlarms {
            reason: BY_COMMAND.to_owned(),
            reason_code: EmergencyStopReason::RpcService,
            active_alarms: Vec::new(),
        });
        self.publish(EventKind::EmergencyStop, payload).await;
        CommandResponse::success()
    }

    async fn emergency_resume(&self) -> CommandResponse {
        if !self.outlet.executions.resume() {
            return answers::coded(ResultCode::Failed, 0, "there was no emergency stop");
        }
        tracing::info!("emergency stop is over");
        let payload = EventPayload::EmergencyResume(ResumedAlarms {
            reason: BY_COMMAND.to_owned(),
            reason_code: EmergencyResumeReason::RpcService,
            resumed_alarms: Vec::new(),
        });
        self.publish(EventKind::EmergencyResume, payload).await;
        CommandResponse::success()
    }

    async fn publish(&self, kind: EventKind, payload: EventPayload) {
        let publisher = &self.outlet.publisher;
        let event = publisher
            .event(kind)
            .and_then(|event| Ok(event.with_payload(&payload)?));
        let published = match event {
            Ok(event) => publisher.send_event(&event).await,
            Err(error) => Err(error),
        };
        if let Err(error) = published {
            tracing::error!(%error, %kind, "an event cannot be published");
        }
    }

    fn configuration(&self) -> CommandResponse {
        CommandResponse::success().with_data(&Configuration {
            application_version: SOFTWARE.to_owned(),
            device_id: self.config.identifier.clone(),
            ..Configuration::default()
        })
    }
}

impl Handler for Binding {
    async fn handle(&self, request: CommandRequest, pending: Pending) -> CommandResponse {
        if request.command == Command::UserDefined {
            return self.user_defined(&request, pending).await;
        }
        pending.forget();
        if request.command == Command::None {
            CommandResponse::success()
        } else if request.command == Command::EmergencyStop {
            self.emergency_stop().await
        } else if request.command == Command::EmergencyResume {
            self.emergency_resume().await
        } else if request.command == Command::GetConfiguration {
            self.configuration()
        } else {
            CommandResponse::new(ResultCode::Unrecognized)
        }
    }
}
