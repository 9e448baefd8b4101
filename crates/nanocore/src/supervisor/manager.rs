//! Keeps the servers as the registry has them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::sync::{mpsc, watch};

use super::actor::Actor;
use super::job::blocking;
use super::logs::{LogSource, ServerLog};
use super::slot::{Command, Link, Slot, first_status};
use super::{Shared, lock};
use crate::registry::{Entries, Entry};

/// Commands that wait for a server that is busy; beyond, who gives one waits.
const COMMANDS_MAX: usize = 16;

/// What tells that a file was written: inode, length, time of change.
type Stamp = (u64, u64, i64, i64);

/// Reads the registry whenever it was changed, until everything is stopped.
pub(super) async fn watch(shared: Arc<Shared>) {
    // Nothing is known of the file that was read at the start, so it is read once more.
    let mut known = None;
    while !shared.stopping.is_cancelled() {
        let now = {
            let path = shared.parts.registry.path().to_owned();
            blocking(move || stamp(&path)).await
        };
        if now != known {
            known = now;
            read(&shared).await;
        }
        shared.looked.send_modify(|looked| *looked += 1);
        tokio::select! {
            () = tokio::time::sleep(shared.parts.options.watch_period) => {}
            () = shared.reload.notified() => {}
            () = shared.stopping.cancelled() => {}
        }
    }
}

/// Ends what an earlier supervisor left behind, and lets servers start then.
pub(super) async fn end_orphans(shared: Arc<Shared>) {
    let (ending, times) = (Arc::clone(&shared), shared.parts.options.stop);
    let ended = blocking(move || ending.records.end_all(times)).await;
    if let Some(Err(error)) = ended {
        tracing::warn!(
            path = %shared.records.path().display(),
            %error,
            "the record of processes cannot be written; servers start all the same, but what a killed daemon leaves behind then may stay: free some room on the disk"
        );
    }
    shared.orphans_gone.cancel();
}

/// Waits until nothing of an earlier supervisor is left, or everything ends.
async fn wait_for_orphans(shared: &Shared, slot: &Slot) {
    if shared.orphans_gone.is_cancelled() {
        return;
    }
    let note = "it may start once the node servers that an earlier daemon left behind have ended";
    slot.log.push(LogSource::Supervisor, note);
    slot.status
        .send_modify(|status| status.notes = vec![note.to_owned()]);
    tokio::select! {
        () = shared.orphans_gone.cancelled() => {}
        () = shared.stopping.cancelled() => {}
    }
    slot.status.send_modify(|status| status.notes.clear());
}

async fn read(shared: &Arc<Shared>) {
    let registry = shared.parts.registry.clone();
    let Some(read) = blocking(move || registry.load()).await else {
        return;
    };
    let problem = match read {
        Ok(entries) => {
            apply(shared, entries);
            None
        }
        Err(error) => Some(error.to_string()),
    };
    let mut told = lock(&shared.registry_problem);
    if *told != problem {
        if let Some(problem) = &problem {
            tracing::warn!(
                "the registry was changed and cannot be used; going on as before: {problem}"
            );
        }
        let fields = json!({ "problem": problem });
        shared.parts.events.publish("registry", None, fields);
        *told = problem;
    }
}

/// Adds, changes and removes servers.
pub(super) fn apply(shared: &Arc<Shared>, entries: Entries) {
    if shared.stopping.is_cancelled() {
        return;
    }
    let before = std::mem::replace(&mut *lock(&shared.entries), entries.clone());
    for entry in &entries {
        match before.get(&entry.server_uid) {
            Some(known) if known == entry => {}
            Some(_) => tell(
                shared,
                &entry.server_uid,
                Command::Entry(Box::new(entry.clone())),
            ),
            None => add(shared, entry),
        }
    }
    for gone in &before {
        if entries.get(&gone.server_uid).is_none() {
            tell(shared, &gone.server_uid, Command::Remove);
        }
    }
}

fn add(shared: &Arc<Shared>, entry: &Entry) {
    let (commands, taken) = mpsc::channel(COMMANDS_MAX);
    let folder = shared.parts.logs.join(folder_name(&entry.server_uid));
    let slot = Arc::new(Slot {
        status: watch::Sender::new(first_status(entry)),
        log: ServerLog::new(folder, shared.parts.options.logs),
        commands,
        link: Mutex::new(Link::default()),
    });
    let former = lock(&shared.slots).insert(entry.server_uid.clone(), Arc::clone(&slot));
    let actor = Actor::new(Arc::clone(shared), Arc::clone(&slot), entry.clone());
    let shared = Arc::clone(shared);
    let server_uid = entry.server_uid.clone();
    shared.tasks.clone().spawn(async move {
        if let Some(former) = former {
            // One that was just removed has to be gone first.
            former.commands.closed().await;
        }
        let log = slot.log.clone();
        blocking(move || log.recall()).await;
        wait_for_orphans(&shared, &slot).await;
        actor.run(taken).await;
        let mut slots = lock(&shared.slots);
        if slots
            .get(&server_uid)
            .is_some_and(|known| Arc::ptr_eq(known, &slot))
        {
            slots.remove(&server_uid);
        }
    });
}

fn tell(shared: &Arc<Shared>, server_uid: &str, command: Command) {
    let slot = lock(&shared.slots).get(server_uid).cloned();
    let Some(slot) = slot else {
        return;
    };
    // In a task, since a server may be busy. The order of changes is kept: each server's queue is served in order.
    if let Err(mpsc::error::TrySendError::Full(command)) = slot.commands.try_send(command) {
        let slot = Arc::clone(&slot);
        shared.tasks.spawn(async move {
            // An error means that it has ended.
            let _ = slot.commands.send(command).await;
        });
    }
}

/// A folder's name for any uid, the uid itself where that can be one.
fn folder_name(server_uid: &str) -> String {
    let is_plain = |one: char| one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '.');
    if server_uid.chars().all(is_plain) && !server_uid.starts_with('.') && server_uid.len() <= 100 {
        return server_uid.to_owned();
    }
    use sha2::{Digest, Sha256};
    crate::assets::hex(&Sha256::digest(server_uid))
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some((
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
    ))
}
