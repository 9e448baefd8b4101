//! Watches the connection of a session, and moves the session when it is bad. spec: nnrp-session 4.6

use std::time::Duration;

use nnrp_wire::TransportId;
use nnrp_wire::session::{MigrationMonitor, PathSample};
use tokio::time::{sleep, timeout};

use super::error::MigrateError;
use super::event::SessionEvent;
use super::options::WatchOptions;
use super::session::{Session, WeakSession};

/// Until the session has ended, or nobody has it any more.
pub(super) async fn run(session: WeakSession, options: WatchOptions) {
    let mut monitor = MigrationMonitor::new(options.monitor);
    loop {
        sleep(options.interval).await;
        let Some(session) = session.upgrade() else {
            return;
        };
        if session.end().is_some() {
            return;
        }
        let Some(sample) = sample(&session, options).await else {
            continue;
        };
        if !monitor.add(sample) {
            continue;
        }
        let degraded = monitor.degraded().into();
        session.core().tell(SessionEvent::Degraded(degraded));
        // Another path, or another try, is judged from the beginning.
        monitor = MigrationMonitor::new(options.monitor);
        if options.migrates {
            go_elsewhere(&session).await;
        }
    }
}

/// `None` if there is nothing to be measured.
async fn sample(session: &Session, options: WatchOptions) -> Option<PathSample> {
    session.core().current_driver()?;
    let measured = match options.probe_bytes {
        Some(bytes) => {
            let probed = timeout(options.timeout, session.probe(bytes)).await;
            probed.map(|probed| {
                probed.map(|sample| PathSample::Answered {
                    round_trip: Duration::from_micros(sample.round_trip_us),
                    throughput: sample.throughput,
                })
            })
        }
        None => {
            let answered = timeout(options.timeout, session.ping()).await;
            answered.map(|answered| {
                answered.map(|round_trip| PathSample::Answered {
                    round_trip,
                    // A PING says nothing of it.
                    throughput: u64::MAX,
                })
            })
        }
    };
    match measured {
        Ok(answered) => answered.ok(),
        Err(_) => Some(PathSample::TimedOut),
    }
}

async fn go_elsewhere(session: &Session) {
    let transport = match session.transport() {
        TransportId::Quic => TransportId::Tcp,
        TransportId::Tcp | TransportId::Unspecified => TransportId::Quic,
    };
    match session.migrate_to(transport).await {
        // That is told where it happens.
        Ok(_) | Err(MigrateError::Failed(_)) => {}
        Err(error) => session.core().tell(SessionEvent::MigrationFailed(error)),
    }
}
