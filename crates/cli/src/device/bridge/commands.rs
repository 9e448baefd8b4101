//! Commands from the broker, to a device.
//!
//! Each request gets a nonce of its own at the device, whatever the caller's, so that two callers with the same nonce get each
//! their answer, with the nonce that they chose.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_nats::connection::State;
use autotrainer_api::{
    Call, CallError, Command, CommandAnswer, CommandResponse, PendingResult, Remote, ResultCode,
};
use nats_micro::{Endpoint, Request, Response, Service, ServiceBuilder, ServiceError};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::asked::Wanted;
use super::log::Log;
use super::policy::Policy;
use super::reply::Caller;
use super::subject::Subjects;
use crate::device::asking::Asked;
use crate::device::show;
use crate::failure::chain;

/// The name of the service: `nodewire micro ls` finds it.
pub(super) const SERVICE: &str = "device-bridge";
/// Commands of one device at a time; it does one after the other.
const CONCURRENCY: usize = 64;
const PENDING: nats_micro::PendingLimits = nats_micro::PendingLimits {
    messages: 1024,
    bytes: 16 << 20,
};
/// How much longer than an answer a stop may take.
const STOP_MARGIN: Duration = Duration::from_secs(5);
/// A server that does not answer for so long at a stop is not waited for, unless requests are running.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// How often it is looked whether a stop has to wait for the server.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Commands {
    pub(super) remote: Remote,
    pub(super) broker: async_nats::Client,
    pub(super) policy: Policy,
    pub(super) log: Log,
    pub(super) result_timeout: Duration,
    /// Cancelled when no late result is waited for any more.
    pub(super) give_up: CancellationToken,
    /// What has a request that is not answered yet.
    pub(super) running: TaskTracker,
    /// What still waits for late results.
    pub(super) waiting: TaskTracker,
    pub(super) requests: AtomicU64,
}

impl Commands {
    /// The service of this device.
    pub(super) fn service(
        self: &Arc<Self>,
        identifier: &str,
        subjects: &Subjects,
    ) -> ServiceBuilder {
        let one = Arc::clone(self);
        let command = Endpoint::new("command", move |request: Request| {
            let commands = Arc::clone(&one);
            async move {
                let limits = &commands.remote.options().limits;
                let wanted = Wanted::of_command(&request, limits);
                commands.serve(request, wanted).await
            }
        });
        let whole = Arc::clone(self);
        let request = Endpoint::new("request", move |request: Request| {
            let commands = Arc::clone(&whole);
            async move {
                let limits = &commands.remote.options().limits;
                let wanted = Wanted::of_request(request.payload(), limits);
                commands.serve(request, wanted).await
            }
        });
        Service::builder(SERVICE, env!("CARGO_PKG_VERSION"))
            .description(format!("Commands of the device {identifier}"))
            .metadata("device", identifier)
            .metadata("commands", self.policy.describe())
            .concurrency(CONCURRENCY)
            .pending_limits(PENDING)
            .stop_timeout(self.remote.options().timeout.saturating_add(STOP_MARGIN))
            .endpoint(command.subject(subjects.below("command.*")))
            .endpoint(request.subject(subjects.below("request")))
    }

    async fn serve(
        self: Arc<Self>,
        request: Request,
        wanted: Result<Wanted, ServiceError>,
    ) -> Response {
        let _running = self.running.token();
        let began = Instant::now();
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let caller = Caller {
            request_id: format!("{}.{number}", request.service_id()),
            nonce: wanted.as_ref().ok().and_then(|wanted| wanted.nonce.clone()),
        };
        let wanted = match wanted {
            Ok(wanted) => wanted,
            Err(mut error) => {
                let id = caller.request_id.as_str();
                error
                    .headers_mut()
                    .insert(super::reply::REQUEST_ID_HEADER, id);
                self.tell(&caller, "unreadable", &error.to_string(), began);
                return Response::Error(error);
            }
        };
        let asked = wanted.asked;
        let (response, outcome) = self.ask(&caller, wanted, request).await;
        let what = asked.name(self.remote.level());
        self.tell(&caller, &what, &outcome, began);
        response
    }

    /// The response, and what to log.
    async fn ask(
        self: &Arc<Self>,
        caller: &Caller,
        wanted: Wanted,
        request: Request,
    ) -> (Response, String) {
        if let Err((code, why)) = self.admit(wanted.asked).await {
            return (caller.refuse(code, &why), format!("{code}: {why}"));
        }
        if wanted.asked == Asked::Command(Command::None) || wanted.asked == Asked::Number(0) {
            return self.probe(caller).await;
        }
        let call = self.call(wanted.asked).verbatim_data(wanted.data);
        match call.send().await {
            Ok(answered) => {
                let (answer, is_pending) = (answered.answer, answered.pending.is_some());
                let response = caller.answer(&answer, is_pending, self.bytes_max());
                let outcome = outcome(answer.result, &response);
                let Some(pending) = answered.pending else {
                    return (response, outcome);
                };
                self.answer_pending(caller, response, pending, request)
                    .await;
                (Response::Silent, outcome)
            }
            Err(CallError::ResultOnly(result)) => {
                let response = caller.late(&result, self.bytes_max());
                let outcome = outcome(result.result, &response);
                (response, format!("late {outcome}"))
            }
            Err(error) => (caller.failed(&error), chain(&error)),
        }
    }

    /// Whether it may be sent, once it is known what it means.
    async fn admit(&self, asked: Asked) -> Result<(), (u32, String)> {
        let is_known = || self.remote.last_heartbeat().is_some();
        // A number is judged by what the device takes it for.
        if !is_known() && (asked.needs_level() || matches!(asked, Asked::Number(_))) {
            let timeout = self.remote.options().timeout;
            let came = self.remote.wait_for_heartbeat(timeout).await;
            came.map_err(|_| {
                let why = "the device has not said yet which version it speaks; ask again once its heartbeat came";
                (503, why.to_owned())
            })?;
        }
        let level = self.remote.level();
        if self.policy.allows(asked, level) {
            return Ok(());
        }
        let (what, flag) = (asked.name(level), Policy::flag(asked, level));
        let allowed = self.policy.describe();
        Err((
            403,
            format!(
                "the bridge does not pass on {what}, unless it is started with {flag}; it passes on {allowed}"
            ),
        ))
    }

    /// Ends once no request is to be answered, and the server is away or has not let us go for a while: it hangs.
    pub(super) async fn idle_without_broker(&self) {
        let mut idle_since = Instant::now();
        loop {
            let is_away = self.broker.connection_state() != State::Connected;
            match self.running.is_empty() {
                true if is_away || idle_since.elapsed() >= SILENCE_MAX => return,
                true => {}
                false => idle_since = Instant::now(),
            }
            sleep(LOOK).await;
        }
    }

    /// How long a reply may be: each connection has its own bound.
    fn bytes_max(&self) -> usize {
        self.broker.max_payload()
    }

    fn call(&self, asked: Asked) -> Call<'_> {
        match asked {
            Asked::Command(command) => self.remote.command(command),
            Asked::Number(number) => self.remote.command_number(number),
            Asked::Custom(number) => self.remote.custom_command(number),
        }
    }

    /// Whatever a device says to `NONE` is a sign of life (Q15).
    async fn probe(&self, caller: &Caller) -> (Response, String) {
        let timeout = self.remote.options().timeout;
        match self.remote.probe(timeout).await {
            Ok(answer) => {
                let mut answer = answer.unwrap_or_else(alive);
                if answer.result == ResultCode::Unrecognized {
                    answer.result = ResultCode::Success;
                }
                let response = caller.answer(&answer, false, self.bytes_max());
                (response, "alive".to_owned())
            }
            Err(error) => (caller.failed(&error), chain(&error)),
        }
    }

    /// Answers at once, and once more when the result is there.
    async fn answer_pending(
        self: &Arc<Self>,
        caller: &Caller,
        answer: Response,
        pending: PendingResult,
        request: Request,
    ) {
        if !respond(&request, answer).await {
            return;
        }
        let late = Arc::clone(self).late(caller.clone(), pending, request);
        self.waiting.spawn(late);
    }

    async fn late(self: Arc<Self>, caller: Caller, mut pending: PendingResult, request: Request) {
        let began = Instant::now();
        let result = tokio::select! {
            biased;
            result = pending.result(self.result_timeout) => result.map_err(|error| (504, error.to_string())),
            () = self.give_up.cancelled() => Err((503, "the bridge stopped before the result came".to_owned())),
        };
        let (response, outcome) = match result {
            Ok(result) => {
                let response = caller.late(&result, self.bytes_max());
                let outcome = outcome(result.result, &response);
                (response, outcome)
            }
            Err((code, why)) => (caller.refuse(code, &why), why),
        };
        respond(&request, response).await;
        self.tell(&caller, "late result", &outcome, began);
    }

    /// Every command leaves a line: who may use the bridge is known to the broker only.
    fn tell(&self, caller: &Caller, what: &str, outcome: &str, began: Instant) {
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let members = [
            ("request", caller.request_id.as_str().into()),
            ("command", what.into()),
            ("outcome", outcome.into()),
            ("tookMs", show::value(took_ms)),
        ];
        let line = format!("{what} ({}): {outcome}, {took_ms} ms", caller.request_id);
        self.log.say("command", &members, &line);
    }
}

/// What the log says.
fn outcome(result: ResultCode, response: &Response) -> String {
    if super::reply::is_cut(response) {
        return format!("{result}, too large for the server: answered without its data");
    }
    result.to_string()
}

fn alive() -> CommandAnswer {
    let response = CommandResponse::success();
    CommandAnswer {
        nonce: serde_json::Value::from(0).into(),
        command_number: Some(0),
        result: response.result,
        verbatim_data: response.data,
        error_kind: autotrainer_api::ErrorKind::None,
        error_code: 0,
        error_message: None,
        is_lossy: false,
        odd_fields: Vec::new(),
    }
}

/// `false` if it could not be sent.
async fn respond(request: &Request, response: Response) -> bool {
    let sent = match response {
        Response::Reply(reply) => request.respond(reply).await,
        Response::Error(error) => {
            let code = error.code().unwrap_or(500);
            let reply = nats_micro::Reply {
                payload: error.payload().clone(),
                headers: error.headers().clone(),
            };
            request
                .respond_error(code, error.description(), reply)
                .await
        }
        Response::Silent => Ok(()),
    };
    sent.is_ok()
}
