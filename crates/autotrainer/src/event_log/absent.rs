//! What stands for the log in a program without it.

use super::{EventLogError, EventLogOptions, EventLogStatus, ReadError, Record, WriteError};
use crate::replay::{ReplayPage, ReplayRequest};

#[derive(Debug)]
pub(crate) enum Store {}

#[derive(Debug)]
pub(crate) enum Reader {}

impl Store {
    pub(crate) fn open(_: &EventLogOptions) -> Result<Self, EventLogError> {
        Err(EventLogError::NotBuilt)
    }

    pub(crate) fn reader(&self) -> Result<Reader, EventLogError> {
        match *self {}
    }

    pub(crate) fn status(&self) -> EventLogStatus {
        match *self {}
    }

    pub(crate) fn keep(&mut self, _: &[Record], _: f64) -> Result<(), WriteError> {
        match *self {}
    }

    pub(crate) fn close(self) {
        match self {}
    }
}

impl Reader {
    pub(crate) fn page(&self, _: &ReplayRequest, _: usize) -> Result<ReplayPage, ReadError> {
        match *self {}
    }
}
