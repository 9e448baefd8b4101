//! What this thread logs.

use std::cell::RefCell;
use std::error::Error;
use std::fmt::{Debug, Write};
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::set_global_default;
use tracing::{Event, Level, Metadata, Subscriber};

thread_local! {
    static LINES: RefCell<Option<Vec<(Level, String)>>> = const { RefCell::new(None) };
}

/// Keeps what nanocore logs on this thread while it lives.
pub(crate) struct Log(());

impl Log {
    pub(crate) fn begin() -> Self {
        // One for all threads: what only one of them listens to may be turned off by the others.
        static STARTED: Once = Once::new();
        STARTED.call_once(|| set_global_default(Kept).unwrap());
        LINES.set(Some(Vec::new()));
        Self(())
    }

    /// The lines with this in them, with their fields and, as the daemon's log has them, the causes of errors.
    pub(crate) fn with(&self, part: &str) -> Vec<(Level, String)> {
        let lines = LINES.with_borrow(|lines| lines.clone().unwrap_or_default());
        let with_it = lines.into_iter().filter(|(_, text)| text.contains(part));
        with_it.collect()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        LINES.set(None);
    }
}

struct Kept;

impl Subscriber for Kept {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("nanocore")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let level = *event.metadata().level();
        LINES.with_borrow_mut(|lines| {
            lines
                .iter_mut()
                .for_each(|lines| lines.push((level, line.0.clone())))
        });
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut cause = Some(value);
        while let Some(error) = cause {
            write!(self.0, "{field}={error} ").unwrap();
            cause = error.source();
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}
