//! What a run uses besides nodes: the step log, the result cache, the assets.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use nodewire_json::Json;

use crate::workflow::asset_links::{AssetLinks, all_exist};
use crate::workflow::cache::{CacheKey, Flight, Flights, Joined, ResultCache};
use crate::workflow::scheduler::LookedUp;
use crate::workflow::step_log::{FinishedStep, StepLog, StepLogError};

/// What a run uses besides nodes.
pub(super) struct Hooks {
    pub(super) cache: Option<Arc<dyn ResultCache>>,
    pub(super) flights: Flights,
    pub(super) assets: Option<Arc<dyn AssetLinks>>,
    pub(super) steps: Option<Arc<dyn StepLog>>,
}

impl Hooks {
    pub(super) fn started(&self, node_id: u64, attempt: u32) {
        if let Some(steps) = &self.steps {
            steps.started(node_id, attempt);
        }
    }

    /// As [`Self::started`], of a node that must not be executed twice: to be awaited before it is sent.
    pub(super) fn starting(
        &self,
        node_id: u64,
        attempt: u32,
    ) -> Option<BoxFuture<'static, Result<(), StepLogError>>> {
        let steps = self.steps.as_ref()?;
        Some(steps.starting(node_id, attempt))
    }

    pub(super) fn log(&self, step: FinishedStep) -> BoxFuture<'static, Result<(), StepLogError>> {
        match &self.steps {
            Some(steps) => steps.finished(step),
            None => std::future::ready(Ok(())).boxed(),
        }
    }

    /// Looks for a result; waits if an identical node is being executed. A flight is given to whom others wait for.
    pub(super) fn look_up(&self, key: CacheKey) -> BoxFuture<'static, (LookedUp, Option<Flight>)> {
        let (cache, assets) = (self.cache.clone(), self.assets.clone());
        let flights = self.flights.clone();
        async move {
            match flights.join(key) {
                Joined::Leads(flight) => match kept(cache, &key, assets).await {
                    Some(outputs) => {
                        flight.land(outputs.clone());
                        (LookedUp::Found(outputs), None)
                    }
                    None => (LookedUp::Missing, Some(flight)),
                },
                Joined::Follows(mut outputs) => match outputs.wait_for(Option::is_some).await {
                    Ok(outputs) => (LookedUp::Found(outputs.clone().unwrap_or_default()), None),
                    // Whoever was at it failed: this one tries for itself, and nobody waits for that.
                    Err(_) => (LookedUp::Missing, None),
                },
            }
        }
        .boxed()
    }

    /// Keeps a result, and hands it to whoever waits.
    pub(super) fn keep(&self, key: CacheKey, outputs: Json, flight: Option<Flight>) {
        // In this order: who comes between the two finds it in the cache.
        if let Some(cache) = &self.cache {
            cache.put(key, &outputs);
        }
        if let Some(flight) = flight {
            flight.land(outputs);
        }
    }
}

/// A kept result, unless it names an asset that is no longer there.
async fn kept(
    cache: Option<Arc<dyn ResultCache>>,
    key: &CacheKey,
    assets: Option<Arc<dyn AssetLinks>>,
) -> Option<Json> {
    let outputs = cache?.get(key).await?;
    let is_whole = assets.is_none_or(|assets| all_exist(&outputs, &*assets));
    is_whole.then_some(outputs)
}
