//! One device while it is bridged.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use autotrainer_api::telemetry::Telemetry;
use autotrainer_api::{
    Presence, Remote, RemoteChange, RemoteChanges, RemoteOptions, SubscribeOptions, Topic,
};
use nats_micro::client::Client;
use nats_micro::{AddServiceError, Context, Service, ServiceBuilder, StartError};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::commands::{Commands, SERVICE};
use super::fence::Fence;
use super::log::Log;
use super::policy::Policy;
use super::pump::{Counts, Pump};
use super::subject::Subjects;
use super::target::Target;
use crate::failure::{Failure, chain};

/// A broker that is away is asked again after this time.
const AGAIN: Duration = Duration::from_millis(500);

/// What all devices of a bridge share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) context: Context,
    pub(super) prefix: String,
    pub(super) policy: Policy,
    pub(super) is_json: bool,
    pub(super) messages_max: usize,
    pub(super) bytes_max: usize,
    pub(super) result_timeout: Duration,
    pub(super) drain: Duration,
    pub(super) control_prefix: Option<String>,
    /// Finds other bridges.
    pub(super) services: Client,
    pub(super) telemetry: Option<Telemetry>,
    pub(super) stop: CancellationToken,
    /// Set when a service could not stop because of the server.
    pub(super) is_broker_silent: AtomicBool,
    /// The identifiers that are taken.
    pub(super) taken: Mutex<BTreeSet<String>>,
}

/// What was lost of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    /// What came too late to be published.
    pub(super) is_flushed: bool,
    pub(super) published: u64,
    pub(super) lost: u64,
}

/// Bridges one device until the bridge stops.
pub(super) async fn run(
    shared: Arc<Shared>,
    target: Target,
    options: RemoteOptions,
) -> Result<Ended, Failure> {
    let remote = Remote::connect(options).await;
    let remote = remote.map_err(|error| Failure::usage(chain(&error)))?;
    let bridged = bridge(&shared, &target, &remote).await;
    remote.close().await;
    bridged
}

async fn bridge(shared: &Shared, target: &Target, remote: &Remote) -> Result<Ended, Failure> {
    // From the beginning, so that what comes before the identifier is known waits and is not lost.
    let everything = SubscribeOptions {
        messages_max: shared.messages_max,
        bytes_max: shared.bytes_max,
        verbatim: true,
        ..SubscribeOptions::topics(&[Topic::ANY])
    };
    let (changes, subscription) = (remote.changes(), remote.subscribe(everything).await);
    let mut log = Log {
        is_json: shared.is_json,
        device: target.place(),
    };
    let Some(identifier) = identifier(shared, target, remote, &log).await else {
        return Ok(Ended {
            is_flushed: true,
            published: 0,
            lost: 0,
        });
    };
    shared.take(&identifier, target)?;
    log.device.clone_from(&identifier);
    if let Some(telemetry) = &shared.telemetry {
        remote.observe(telemetry, &identifier);
    }
    let subjects = Subjects::new(&shared.prefix, &identifier).map_err(Failure::usage)?;

    let commands = Arc::new(Commands {
        remote: remote.clone(),
        broker: shared.context.client().clone(),
        policy: shared.policy.clone(),
        log: log.clone(),
        result_timeout: shared.result_timeout,
        give_up: CancellationToken::new(),
        running: TaskTracker::new(),
        waiting: TaskTracker::new(),
        requests: 0.into(),
    });
    let closed = |_| Failure::servers("the connection to the broker is closed");
    let counts = Arc::<Counts>::default();
    let fence = Fence::new(shared.context.client()).await.map_err(closed)?;
    let pump = Pump {
        remote: remote.clone(),
        subjects: subjects.clone(),
        log: log.clone(),
        counts: Arc::clone(&counts),
        run: fence.id().to_owned(),
        fence,
        sequence: 0,
    };
    let pump = pump.run(subscription, changes);
    tokio::pin!(pump);
    let watched = target.identifier.is_none().then_some(identifier.as_str());
    let serving = async {
        let Some(service) = start(shared, &commands, &identifier, &subjects).await? else {
            return Ok(());
        };
        let changes = remote.changes();
        tell_bridged(shared, &subjects, &log);
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => {}
            () = watch_identifier(changes, watched, &log) => {}
        }
        wind_down(shared, &commands, service).await;
        Ok::<_, Failure>(())
    };
    tokio::select! {
        biased;
        ended = &mut pump => {
            ended.map_err(closed)?;
            return Err(Failure::servers("the connection to the device is closed"));
        }
        served = serving => served?,
    }
    remote.close().await;
    let flushed = timeout(shared.drain, pump).await;
    Ok(Ended {
        is_flushed: matches!(flushed, Ok(Ok(()))),
        published: counts.published.load(Ordering::Relaxed),
        lost: counts.lost.load(Ordering::Relaxed),
    })
}

impl Shared {
    /// Commands for one device must not reach another.
    fn take(&self, identifier: &str, target: &Target) -> Result<(), Failure> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.insert(identifier.to_owned()) {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "two devices are called {identifier:?}, one of them at {}; give them names with --device NAME=HOST",
            target.place()
        )))
    }
}

/// What it was named, or what its first heartbeat says; `None` if the bridge stops before.
async fn identifier(
    shared: &Shared,
    target: &Target,
    remote: &Remote,
    log: &Log,
) -> Option<String> {
    if let Some(identifier) = &target.identifier {
        return Some(identifier.clone());
    }
    log.say(
        "waiting",
        &[],
        "waiting for its heartbeat, which says what it is called",
    );
    loop {
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return None,
            came = remote.wait_for_heartbeat(Duration::from_secs(3600)) => {
                if let Ok(heartbeat) = came {
                    return Some(heartbeat.identifier);
                }
            }
        }
    }
}

/// Starts the service for commands, if there is to be one; `None` if the bridge stops before.
async fn start(
    shared: &Shared,
    commands: &Arc<Commands>,
    identifier: &str,
    subjects: &Subjects,
) -> Result<Option<Option<Service>>, Failure> {
    if matches!(shared.policy, Policy::Nothing) {
        return Ok(Some(None));
    }
    let mut service = commands.service(identifier, subjects);
    if let Some(prefix) = &shared.control_prefix {
        service = service.control_prefix(prefix);
    }
    loop {
        let added = tokio::select! {
            biased;
            () = shared.stop.cancelled() => return Ok(None),
            added = add_alone(shared, service.clone(), identifier, subjects) => added?,
        };
        match added {
            Some(service) => return Ok(Some(Some(service))),
            None => sleep(AGAIN).await,
        }
    }
}

/// `None` if the broker is away. Another bridge would take a share of the commands, and might pass them on to another device
/// of that name: the names that devices come with are all the same.
async fn add_alone(
    shared: &Shared,
    service: ServiceBuilder,
    identifier: &str,
    subjects: &Subjects,
) -> Result<Option<Service>, Failure> {
    check_alone(shared, identifier, subjects, None).await?;
    match shared.context.add_service(service).await {
        Ok(service) => {
            // It may have started at the same time.
            check_alone(shared, identifier, subjects, Some(service.id())).await?;
            Ok(Some(service))
        }
        Err(AddServiceError::Start(StartError::BrokerAway)) => Ok(None),
        Err(error) => Err(Failure::failed(chain(&error))),
    }
}

async fn check_alone(
    shared: &Shared,
    identifier: &str,
    subjects: &Subjects,
    own_id: Option<&str>,
) -> Result<(), Failure> {
    let found = shared.services.service(SERVICE).info().await;
    // A broker that is away is met when the service is added.
    let found = found.map(|found| found.documents).unwrap_or_default();
    let subject = subjects.below("request");
    let mut others = found.iter().filter(|info| {
        let is_other = own_id != Some(info.id.as_str());
        is_other
            && info
                .endpoints
                .iter()
                .any(|endpoint| endpoint.subject == subject)
    });
    match others.next() {
        None => Ok(()),
        Some(other) => Err(Failure::failed(format!(
            "another bridge ({}) passes on the commands of {identifier:?}; stop it, or give this device another name with --device NAME=HOST",
            other.id
        ))),
    }
}

fn tell_bridged(shared: &Shared, subjects: &Subjects, log: &Log) {
    let (subjects, allowed) = (subjects.below(">"), shared.policy.describe());
    let line = format!("bridged on {subjects}; passes on {allowed}");
    log.say(
        "bridging",
        &[
            ("subjects", subjects.as_str().into()),
            ("commands", allowed.as_str().into()),
        ],
        &line,
    );
}

/// Ends once the last request that was taken is answered, and late results are there or given up.
async fn wind_down(shared: &Shared, commands: &Commands, service: Option<Service>) {
    if let Some(service) = service {
        tokio::select! {
            biased;
            // Then the stop does not even begin, and cannot say that it took too long.
            () = commands.idle_without_broker() => shared.is_broker_silent.store(true, Ordering::Relaxed),
            _ = service.stop() => {}
        }
    }
    commands.waiting.close();
    if timeout(shared.drain, commands.waiting.wait())
        .await
        .is_err()
    {
        commands.give_up.cancel();
        commands.waiting.wait().await;
    }
}

/// Says so if another device answers there; never ends.
async fn watch_identifier(mut changes: RemoteChanges, identifier: Option<&str>, log: &Log) {
    while let (Some(identifier), Some(change)) = (identifier, changes.next().await) {
        if let RemoteChange::Presence {
            identifier: other,
            presence: Presence::Present,
        } = change
            && other != identifier
        {
            let line =
                format!("the device there calls itself {other:?} now; it is bridged as before");
            log.say(
                "otherIdentifier",
                &[("identifier", other.as_str().into())],
                &line,
            );
        }
    }
    std::future::pending().await
}
