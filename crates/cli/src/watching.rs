//! Watching folders for changes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{EventKind, RecursiveMode};
use notify_debouncer_full::{DebounceEventResult, DebouncedEvent, new_debouncer};
use tokio::sync::mpsc;

/// Tells about changes of files that are wanted, in these folders and all below; while one waits to be looked at, others
/// add nothing. It ends when what is returned is dropped.
pub(crate) fn watch<F: Fn(&Path) -> bool + Send + 'static>(
    folders: &[PathBuf],
    debounce: Duration,
    is_wanted: F,
    changed: mpsc::Sender<()>,
) -> Result<impl Sized + use<F>, String> {
    let is_change = move |event: &DebouncedEvent| {
        !matches!(event.kind, EventKind::Access(_))
            && event.paths.iter().any(|path| is_wanted(path))
    };
    let on_events = move |events: DebounceEventResult| {
        if events.is_ok_and(|events| events.iter().any(&is_change)) {
            let _ = changed.try_send(());
        }
    };
    let mut watcher = new_debouncer(debounce, None, on_events)
        .map_err(|error| format!("cannot watch files: {error}"))?;
    for folder in folders {
        watcher
            .watch(folder, RecursiveMode::Recursive)
            .map_err(|error| format!("cannot watch {}: {error}", folder.display()))?;
    }
    Ok(watcher)
}
