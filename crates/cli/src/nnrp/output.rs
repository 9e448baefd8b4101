//! Standard output for many lines: buffered, and done as soon as its reader is gone.

use std::io::{BufWriter, ErrorKind, Stdout, Write};

use serde::Serialize;

use crate::failure::Failure;

/// Why no more is written.
#[derive(Debug)]
pub(super) enum Stop {
    /// Nobody reads any more, which is no failure.
    ReaderGone,
    /// It failed.
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe {
            return Self::ReaderGone;
        }
        Self::Failed(Failure::failed(format!("standard output: {error}")))
    }
}

/// A reader that goes away is no failure.
pub(super) fn finish(result: Result<(), Stop>) -> Result<(), Failure> {
    match result {
        Ok(()) | Err(Stop::ReaderGone) => Ok(()),
        Err(Stop::Failed(failure)) => Err(failure),
    }
}

/// Standard output.
#[derive(Debug)]
pub(super) struct Output(BufWriter<Stdout>);

impl Output {
    pub(super) fn new() -> Self {
        Self(BufWriter::with_capacity(64 << 10, std::io::stdout()))
    }

    pub(super) fn line(&mut self, line: &str) -> Result<(), Stop> {
        self.0.write_all(line.as_bytes())?;
        Ok(self.0.write_all(b"\n")?)
    }

    /// On one line, written piece by piece.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), Stop> {
        serde_json::to_writer(&mut self.0, value).map_err(std::io::Error::from)?;
        Ok(self.0.write_all(b"\n")?)
    }

    /// Before waiting for input, so that what is known can be seen.
    pub(super) fn flush(&mut self) -> Result<(), Stop> {
        Ok(self.0.flush()?)
    }
}
