//! How long a link that is closed is written to.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::Writer;

/// Without any progress.
const IDLE: Duration = Duration::from_secs(1);

/// In all: a reader may be slow, and is not waited for without end.
const LIMIT: Duration = Duration::from_secs(30);

/// Waits while the other side takes something.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Instant,
}

impl Patience {
    /// The time runs from now on.
    pub(crate) fn begin() -> Self {
        Self {
            limit: Instant::now() + LIMIT,
        }
    }

    /// As [`Writer::flush`], with `TimedOut` where the other side takes nothing any more.
    pub(crate) async fn flush(&self, writer: &mut Writer) -> io::Result<()> {
        loop {
            let before = writer.progress();
            match timeout_at(self.next_look(), writer.flush()).await {
                Ok(flushed) => return flushed,
                Err(_) => self.look(writer, before)?,
            }
        }
    }

    /// As [`Writer::finish`], with `TimedOut` where the other side takes nothing any more.
    pub(crate) async fn finish(&self, writer: &mut Writer) -> io::Result<()> {
        loop {
            let before = writer.progress();
            match timeout_at(self.next_look(), writer.finish()).await {
                Ok(finished) => return finished,
                Err(_) => self.look(writer, before)?,
            }
        }
    }

    fn next_look(&self) -> Instant {
        self.limit.min(Instant::now() + IDLE)
    }

    fn look(&self, writer: &Writer, before: u64) -> io::Result<()> {
        if writer.progress() == before || Instant::now() >= self.limit {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
