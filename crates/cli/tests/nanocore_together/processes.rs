//! What runs on this machine, as far as it is ours.

use std::fs;
use std::path::Path;
use std::process::Command;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) id: u32,
    pub(crate) group: u32,
    pub(crate) command: String,
}

/// Those that run in a folder or below; those that have ended and were not waited for do not count.
pub(crate) fn processes_in(folder: &Path) -> Vec<Process> {
    let Ok(folder) = folder.canonicalize() else {
        return Vec::new();
    };
    let ids = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| {
        fs::read_link(format!("/proc/{id}/cwd")).is_ok_and(|cwd| cwd.starts_with(&folder))
    })
    .filter_map(process)
    .collect()
}

fn process(id: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name before it is in parentheses and may have spaces.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let is_dead = fields.next()? == "Z";
    let group = fields.nth(1)?.parse().ok()?;
    let command = fs::read_to_string(format!("/proc/{id}/cmdline")).ok()?;
    (!is_dead).then(|| Process {
        id,
        group,
        command: command.replace('\0', " ").trim().to_owned(),
    })
}

/// Kills a process that this test has started, itself or by the daemon.
pub(crate) fn kill(id: u32) {
    let ended = Command::new("kill")
        .args(["-KILL", &id.to_string()])
        .output();
    // Fails if it has just ended.
    drop(ended.unwrap());
}
