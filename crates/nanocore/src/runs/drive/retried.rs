//! Writes that are tried again until they go well, as the log tells of them.

use std::error::Error;

use crate::db::DatabaseError;

/// A write of one run. Its first failure is an error; those that follow, many within a minute, are for debugging; who has
/// read the error finds in the log when it is over, too.
#[derive(Debug)]
pub(super) struct Retried<'r> {
    run_id: &'r str,
    /// What a failure means.
    failing: &'static str,
    /// What it means when it goes well after a failure.
    done: &'static str,
    failures: u32,
}

impl<'r> Retried<'r> {
    pub(super) fn new(run_id: &'r str, failing: &'static str, done: &'static str) -> Self {
        Self {
            run_id,
            failing,
            done,
            failures: 0,
        }
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn failed(&mut self, error: &DatabaseError) {
        self.failures += 1;
        let (run_id, error) = (self.run_id, error as &dyn Error);
        if self.failures == 1 {
            tracing::error!(run_id, error, "{}; it is tried again", self.failing);
        } else {
            let tries = self.failures;
            tracing::debug!(run_id, error, tries, "{}", self.failing);
        }
    }

    pub(super) fn succeeded(&self) {
        if self.failures > 0 {
            tracing::info!(run_id = self.run_id, "{}", self.done);
        }
    }
}
