//! What runs by this wire, by nonce, and the emergency stop.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use autotrainer_api::{CommandResponse, ResultCode};
use nodewire_core::CancelHandle;
use nodewire_json::{Json, Kind};

use super::answers::{self, error_code};
use super::counts::{AutotrainerCounts, Counters};

/// Bytes of a nonce that is kept.
const NONCE_BYTES_MAX: usize = 64;

/// The executions in flight.
#[derive(Debug)]
pub(super) struct Executions {
    state: Mutex<State>,
    in_flight_max: usize,
    pub(super) counters: Counters,
}

#[derive(Debug, Default)]
struct State {
    /// `None` for the moment in which it is submitted.
    by_nonce: HashMap<Nonce, Option<CancelHandle>>,
    is_stopped: bool,
}

/// A nonce by its value: numbers as they are written, strings without their escapes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Nonce {
    Number(Box<str>),
    Text(Box<str>),
}

/// A place among the executions in flight; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    nonce: Nonce,
    executions: Arc<Executions>,
}

impl Nonce {
    /// `None` for what cannot name an execution; 0 marks requests that cannot be read. spec: autotrainer 7.3
    pub(super) fn of(json: &Json) -> Option<Self> {
        if json.as_str().len() > NONCE_BYTES_MAX {
            return None;
        }
        match json.kind() {
            Kind::Number => {
                let is_zero = json.decode::<f64>().is_ok_and(|number| number == 0.0);
                (!is_zero).then(|| Self::Number(json.as_str().into()))
            }
            Kind::String => {
                let text = json.string().filter(|text| !text.is_empty())?;
                Some(Self::Text(text.into()))
            }
            Kind::Null | Kind::Bool | Kind::Array | Kind::Object => None,
        }
    }
}

impl Executions {
    pub(super) fn new(in_flight_max: usize) -> Self {
        Self {
            state: Mutex::default(),
            in_flight_max,
            counters: Counters::default(),
        }
    }

    pub(super) fn counts(&self) -> AutotrainerCounts {
        self.counters.snapshot()
    }

    /// Takes a place for an execution, or says why there is none.
    pub(super) fn begin(self: &Arc<Self>, nonce: &Json) -> Result<Place, CommandResponse> {
        let Some(nonce) = Nonce::of(nonce) else {
            self.counters.nonces_unusable.count();
            return Err(answers::invalid(
                "the nonce must be a number other than 0, or a string, of at most 64 bytes",
            ));
        };
        let mut state = self.lock();
        if state.is_stopped {
            self.counters.emergency_stopped.count();
            return Err(answers::coded(
                ResultCode::Unavailable,
                error_code::EMERGENCY_STOPPED,
                "an emergency stop is in effect; send EMERGENCY_RESUME first",
            ));
        }
        if state.by_nonce.contains_key(&nonce) {
            self.counters.nonces_in_use.count();
            return Err(answers::coded(
                ResultCode::Failed,
                error_code::NONCE_IN_USE,
                "an execution with this nonce is in flight; choose another nonce",
            ));
        }
        if state.by_nonce.len() >= self.in_flight_max {
            self.counters.too_many_in_flight.count();
            return Err(answers::coded(
                ResultCode::Unavailable,
                error_code::TOO_MANY_IN_FLIGHT,
                "too many executions are in flight; try again later",
            ));
        }
        state.by_nonce.insert(nonce.clone(), None);
        Ok(Place {
            nonce,
            executions: Arc::clone(self),
        })
    }

    /// From now on the execution of this nonce can be cancelled, unless it has ended already.
    ///
    /// Handlers run one after the other up to where they first wait, so that no other one comes between
    /// [`Self::begin`] and this.
    pub(super) fn submitted(&self, nonce: &Nonce, cancel: CancelHandle) {
        if let Some(place) = self.lock().by_nonce.get_mut(nonce) {
            *place = Some(cancel);
        }
    }

    /// Whether there was something to cancel.
    pub(super) fn cancel(&self, nonce: &Nonce) -> bool {
        let cancel = self.lock().by_nonce.get(nonce).cloned().flatten();
        cancel.is_some_and(|cancel| cancel.cancel())
    }

    /// Refuses what comes, until [`Self::resume`].
    pub(super) fn stop(&self) {
        self.lock().is_stopped = true;
    }

    /// Whether it was stopped.
    pub(super) fn resume(&self) -> bool {
        std::mem::take(&mut self.lock().is_stopped)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    pub(super) fn nonce(&self) -> &Nonce {
        &self.nonce
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.executions.lock().by_nonce.remove(&self.nonce);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &'static str) -> Json {
        Json::parse(text).unwrap()
    }

    #[test]
    fn nonces_are_numbers_other_than_zero_or_strings() {
        for bad in ["0", "-0", "0.0", "null", "true", "[1]", "{}", "\"\""] {
            assert_eq!(Nonce::of(&json(bad)), None, "{bad}");
        }
        assert_eq!(Nonce::of(&Json::from("x".repeat(63).as_str())), None);
        assert_eq!(Nonce::of(&json(r#""\u0041""#)), Nonce::of(&json("\"A\"")));
        assert_ne!(Nonce::of(&json("7")), Nonce::of(&json("\"7\"")));
    }

    #[test]
    fn a_nonce_is_free_again_once_its_place_is_given_back() {
        let executions = Arc::new(Executions::new(2));
        let begin = |nonce: &'static str| executions.begin(&json(nonce));
        let code = |begun: Result<Place, CommandResponse>| begun.unwrap_err().error_code;
        let first = begin("1").unwrap();
        assert_eq!(code(begin("1")), error_code::NONCE_IN_USE);
        let _second = begin("2").unwrap();
        assert_eq!(code(begin("3")), error_code::TOO_MANY_IN_FLIGHT);
        drop(first);
        let _again = begin("1").unwrap();
        assert_eq!(code(begin("0")), error_code::INVALID_INPUT);
        assert_eq!(
            executions.counts(),
            AutotrainerCounts {
                nonces_in_use: 1,
                nonces_unusable: 1,
                too_many_in_flight: 1,
                ..AutotrainerCounts::default()
            }
        );
    }

    #[test]
    fn a_stop_lasts_until_it_is_resumed() {
        let executions = Arc::new(Executions::new(2));
        assert!(!executions.resume());
        executions.stop();
        let refused = executions.begin(&json("1")).unwrap_err();
        assert_eq!(refused.error_code, error_code::EMERGENCY_STOPPED);
        assert!(executions.resume());
        assert!(executions.begin(&json("1")).is_ok());
    }
}
