//! Puts in order what the process before left.

use std::sync::Arc;

use serde_json::json;

use super::StartError;
use super::options::count;
use super::record::{RunState, Time};
use super::shared::Shared;
use super::store::{self, End};

/// Enters the runs that wait, resumed ones among them, and tells of those that were interrupted.
pub(super) async fn recover(shared: &Shared) -> Result<(), StartError> {
    let (resume, resumes_max) = (shared.options.resume, shared.options.resumes_max);
    let at = Time::now();
    let recover = move |connection: &rusqlite::Connection| {
        store::recover(connection, resume, resumes_max, at)
    };
    let (interrupted, waiting) = shared.db.write(recover).await?;
    for run_id in interrupted {
        let end = End {
            state: RunState::Interrupted,
            at,
            duration_ms: None,
            counts: None,
            reason: Some("the daemon ended while it was being executed".to_owned()),
        };
        shared.publish_end(&run_id.into(), &end);
    }
    for (position, run) in (0..).zip(waiting) {
        let position: usize = position;
        let run_id: Arc<str> = run.run_id.into();
        shared.queue().enter(run_id.clone(), run.seq, run.priority);
        if run.is_resumed {
            count(&shared.counts.resumed);
        }
        let fields = json!({ "position": position, "resumed": run.is_resumed });
        shared.events.publish("run_queued", Some(&run_id), fields);
    }
    Ok(())
}
