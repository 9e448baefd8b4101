//! Executions that can be cancelled by their id.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nodewire_core::{CancelHandle, NodeError};

/// The executions in flight that have an id: those of streams, and those whose caller gave one.
#[derive(Debug, Default)]
pub(super) struct Cancels {
    // A std mutex: held for a look at the map, never across an await.
    by_id: Mutex<HashMap<String, State>>,
    next: AtomicU64,
}

/// What is known of an id that is taken.
#[derive(Debug)]
enum State {
    /// Its execution is being submitted, and may run already.
    Submitting { cancelled: bool },
    /// It is in flight.
    InFlight(CancelHandle),
}

/// An id that is taken, until this is dropped.
#[derive(Debug)]
pub(super) struct Named {
    cancels: Arc<Cancels>,
    pub(super) id: String,
}

impl Cancels {
    /// Longest id of a caller's, in bytes.
    const ID_LENGTH_MAX: usize = 128;

    /// Takes an id of the caller's.
    ///
    /// # Errors
    /// It cannot be part of a subject, or is in use.
    pub(super) fn name(self: &Arc<Self>, id: &str) -> Result<Named, NodeError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let fits = !id.is_empty() && id.len() <= Self::ID_LENGTH_MAX && !id.starts_with('_');
        if !fits || !id.bytes().all(allowed) {
            return Err(NodeError::invalid_input(
                "`Nodewire-Execution` must be letters, digits, `-` and, except at the beginning, `_`; at most 128",
            ));
        }
        self.take(id.to_owned()).ok_or_else(|| {
            NodeError::invalid_input(format!(
                "an execution `{id}` is in flight already; choose another id"
            ))
        })
    }

    /// Takes an id that no caller can have chosen.
    pub(super) fn unnamed(self: &Arc<Self>) -> Named {
        loop {
            let id = format!("_{}", self.next.fetch_add(1, Ordering::Relaxed));
            if let Some(named) = self.take(id) {
                return named;
            }
        }
    }

    /// Cancels; `None` if there is no such execution, else whether it ends as cancelled.
    pub(super) fn cancel(&self, id: &str) -> Option<bool> {
        match self.lock().get_mut(id)? {
            State::Submitting { cancelled } => {
                *cancelled = true;
                Some(true)
            }
            State::InFlight(handle) => Some(handle.cancel()),
        }
    }

    fn take(self: &Arc<Self>, id: String) -> Option<Named> {
        let mut by_id = self.lock();
        if by_id.contains_key(&id) {
            return None;
        }
        by_id.insert(id.clone(), State::Submitting { cancelled: false });
        drop(by_id);
        Some(Named {
            cancels: Arc::clone(self),
            id,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, State>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Named {
    /// From now on a cancellation reaches this execution; one that came before does now.
    pub(super) fn is(&self, handle: CancelHandle) {
        let mut by_id = self.cancels.lock();
        let Some(state) = by_id.get_mut(&self.id) else {
            return;
        };
        if let State::Submitting { cancelled: true } = state {
            handle.cancel();
        }
        *state = State::InFlight(handle);
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        self.cancels.lock().remove(&self.id);
    }
}

/// Cancels an execution when nobody is left who would answer its caller.
#[derive(Debug)]
pub(super) struct CancelOnDrop(pub(super) CancelHandle);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        // Does nothing if it has ended.
        self.0.cancel();
    }
}

#[cfg(test)]
mod tests {
    use nodewire_core::{
        Context, ExecutionError, ExecutionRequest, Executor, NodeDefinition, Outputs, node_fn,
    };

    use super::*;

    #[test]
    fn an_id_is_free_again_when_its_execution_has_ended() {
        let cancels = Arc::new(Cancels::default());
        let named = cancels.name("a-1").unwrap();
        assert!(
            cancels
                .name("a-1")
                .unwrap_err()
                .message()
                .contains("in flight")
        );
        drop(named);
        assert_eq!(cancels.cancel("a-1"), None);
        cancels.name("a-1").unwrap();
    }

    #[tokio::test]
    async fn a_cancellation_that_comes_while_submitting_is_kept() {
        let definition = NodeDefinition::builder("wait").build().unwrap();
        let executor = Executor::default();
        let wait = async |context: Context| {
            context.cancelled().await;
            Ok(Outputs::new())
        };
        executor
            .registry()
            .insert(node_fn(definition, wait))
            .unwrap();
        let cancels = Arc::new(Cancels::default());
        let named = cancels.name("a").unwrap();
        assert_eq!(cancels.cancel("a"), Some(true));
        let execution = executor.submit(ExecutionRequest::new("wait")).unwrap();
        named.is(execution.cancel_handle());
        let error = execution.outputs().await.unwrap_err();
        assert!(matches!(error, ExecutionError::Cancelled), "{error}");
    }

    #[test]
    fn ids_are_tokens_of_subjects() {
        let cancels = Arc::new(Cancels::default());
        let long = "x".repeat(129);
        for id in ["", "_1", "a.b", "a b", "*", ">", "é", &long] {
            assert!(cancels.name(id).is_err(), "{id:?}");
        }
        assert_eq!(cancels.unnamed().id, "_0");
    }
}
