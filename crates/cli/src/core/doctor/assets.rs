//! The object store for assets, where one is set. spec: nanograph 19.1

use std::time::Duration;

use serde_json::Value;

use super::super::client::{Daemon, parse};
use super::super::place::Place;
use super::{Finding, reason};

const CHECK: &str = "object store";
/// How long an object store may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
const ADVICE: &str = "until then, assets can be neither stored nor read";

/// Whether the daemon can use it; without a daemon, whether we can. Nothing if assets are in the data folder.
pub(super) async fn object_store(place: &Place, daemon: Option<&Daemon>) -> Option<Finding> {
    let told = match daemon {
        Some(daemon) => daemon.post("/assets/check", None).await,
        None => return own(place).await,
    };
    let store: Value = match told.and_then(|text| parse(&text)) {
        Ok(store) => store,
        Err(failure) => {
            let advice = "look at what `nodewire up` says";
            return Some(Finding::error(CHECK, failure.to_string(), advice));
        }
    };
    if store["place"] != "objects" {
        return place.settings.s3.as_ref().map(|_| {
            let text = "config.json names a bucket, but the daemon keeps assets in its data folder";
            Finding::warning(CHECK, text, "restart the daemon to have it use the bucket")
        });
    }
    Some(match store["problem"]["message"].as_str() {
        Some(message) => Finding::error(CHECK, message, ADVICE),
        None => Finding::ok(CHECK, "the daemon can use it"),
    })
}

/// Asks with the keys that are in our own environment.
async fn own(place: &Place) -> Option<Finding> {
    let contents = match place.bucket() {
        Ok(contents) => contents?,
        Err(failure) => {
            let advice = "correct it: the daemon does not start so";
            return Some(Finding::error(CHECK, failure.to_string(), advice));
        }
    };
    let Err(error) = contents.check(TIMEOUT).await else {
        let text = "it can be used with the keys of this shell";
        return Some(Finding::ok(CHECK, text));
    };
    let message = match error.problem() {
        Some(problem) => problem.message,
        None => reason(&error),
    };
    Some(Finding::error(CHECK, message, ADVICE))
}
