//! What is written to the log and to spans, kept for tests.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

pub(crate) type Fields = BTreeMap<String, String>;

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) level: Level,
    pub(crate) target: &'static str,
    pub(crate) fields: Fields,
}

/// Keeps events, and spans when they close, as long as it lives, of this thread.
pub(crate) struct Log {
    kept: Arc<Kept>,
    _subscriber: DefaultGuard,
}

#[derive(Default)]
struct Kept {
    events: Mutex<Vec<Entry>>,
    spans: Mutex<Vec<Entry>>,
}

impl Log {
    pub(crate) fn keep() -> Self {
        let kept = Arc::new(Kept::default());
        let keeper = tracing_subscriber::registry().with(Keeper(Arc::clone(&kept)));
        Self {
            kept,
            _subscriber: tracing::subscriber::set_default(keeper),
        }
    }

    pub(crate) fn take_events(&self, target: &str) -> Vec<Entry> {
        take(&self.kept.events, target)
    }

    #[cfg(feature = "trace")]
    pub(crate) fn take_spans(&self, target: &str) -> Vec<Entry> {
        take(&self.kept.spans, target)
    }
}

fn take(entries: &Mutex<Vec<Entry>>, target: &str) -> Vec<Entry> {
    let mut taken = std::mem::take(&mut *entries.lock().unwrap());
    taken.retain(|entry| entry.target == target);
    taken
}

struct Keeper(Arc<Kept>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Keeper {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = FieldsVisitor::default();
        event.record(&mut fields);
        self.0.events.lock().unwrap().push(Entry {
            level: *event.metadata().level(),
            target: event.metadata().target(),
            fields: fields.0,
        });
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = FieldsVisitor::default();
        attributes.record(&mut fields);
        let span = context.span(id).unwrap();
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let mut extensions = span.extensions_mut();
        values.record(extensions.get_mut::<FieldsVisitor>().unwrap());
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).unwrap();
        let fields = span.extensions().get::<FieldsVisitor>().unwrap().0.clone();
        self.0.spans.lock().unwrap().push(Entry {
            level: *span.metadata().level(),
            target: span.metadata().target(),
            fields,
        });
    }
}

#[derive(Default)]
struct FieldsVisitor(Fields);

impl Visit for FieldsVisitor {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}
