//! Why nobody offers a node: the registered servers that have it or could, what each is up to, and what to do.
//! spec: nanograph 14.1

use std::sync::Arc;

use jiff::Timestamp;

use super::slot::Slot;
use super::status::{ServerState, ServerStatus};
use super::{Shared, lock};
use crate::workflow::GraphNode;

/// Servers that one message names.
const SERVERS_TOLD: usize = 3;
/// Longest part of a server's error that is told, in characters.
const ERROR_CHARS_MAX: usize = 200;

/// For people. None that offers the node now is looked for.
pub(super) fn absence(shared: &Shared, node: &GraphNode) -> String {
    let slots: Vec<Arc<Slot>> = lock(&shared.slots).values().cloned().collect();
    let of = |is_meant: &dyn Fn(&Slot) -> bool| -> Vec<ServerStatus> {
        let meant = slots.iter().filter(|slot| is_meant(slot));
        meant.map(|slot| slot.status.borrow().clone()).collect()
    };
    let having = of(&|slot| slot.status.borrow().nodes.contains(&node.uid));
    if !having.is_empty() {
        return told(&having, " has it, but");
    }
    let named = of(&|slot| is_named(&slot.status.borrow(), node));
    if !named.is_empty() {
        return told(&named, "");
    }
    let unknown = of(&|slot| slot.link().handshake.is_none());
    match (slots.len(), unknown.is_empty()) {
        (0, _) => "no server is registered; see `nodewire register`".to_owned(),
        (count, true) => format!(
            "none of the {count} registered servers has it; register the one that does (`nodewire register`)"
        ),
        (_, false) => format!(
            "it may be on a server that was not connected yet: {}",
            told(&unknown, "")
        ),
    }
}

/// Whether the graph means this server: it has its uid, or is of its package.
fn is_named(status: &ServerStatus, node: &GraphNode) -> bool {
    node.server_uid.as_ref() == Some(&status.server_uid)
        || node.server_package_id.as_ref() == Some(&status.server_package_id)
}

fn told(servers: &[ServerStatus], before: &str) -> String {
    let now = Timestamp::now();
    let one = |status: &ServerStatus| {
        format!(
            "server \"{}\" ({}){before} {}",
            status.server_display_name,
            status.server_uid,
            state(status, now)
        )
    };
    let mut told: Vec<String> = servers.iter().take(SERVERS_TOLD).map(one).collect();
    match servers.len().saturating_sub(SERVERS_TOLD) {
        0 => {}
        more => told.push(format!("and {more} more (`nodewire status`)")),
    }
    told.join("; ")
}

/// What it is up to, and what to do.
fn state(status: &ServerStatus, now: Timestamp) -> String {
    let uid = &status.server_uid;
    let error = error(status);
    match status.state {
        ServerState::Stopped if !status.enabled => {
            format!("is disabled: `nodewire enable {uid}`")
        }
        ServerState::Stopped => format!("is stopped: `nodewire start {uid}`"),
        ServerState::Installing => "is being installed; try again once it is ready".to_owned(),
        ServerState::Starting => "is starting; try again once it is ready".to_owned(),
        ServerState::Ready => format!(
            "is ready without such a node; it may not have been loaded (`nodewire logs {uid}`)"
        ),
        ServerState::Disconnected => {
            "has lost its connection, which is being opened again; try again once it is ready"
                .to_owned()
        }
        ServerState::Backoff => {
            let next = status.next_start.map_or_else(
                || "soon".to_owned(),
                |at| format!("in {} s", seconds_until(at, now)),
            );
            format!("is in backoff{error}; it is started again {next} (`nodewire logs {uid}`)")
        }
        ServerState::Failed => format!(
            "has failed{error}; it is not started again by itself: correct that, then `nodewire start {uid}`"
        ),
        ServerState::Stopping => "is being stopped".to_owned(),
    }
}

/// In whole seconds, never less than there are.
fn seconds_until(at: Timestamp, now: Timestamp) -> i64 {
    let milliseconds = at.as_millisecond().saturating_sub(now.as_millisecond());
    milliseconds.max(0).div_euclid(1_000) + i64::from(milliseconds.max(0) % 1_000 > 0)
}

/// `: it ended (exit status: 3)`; the first line of why it failed.
fn error(status: &ServerStatus) -> String {
    let message = status.last_error.as_ref().map(|error| &*error.message);
    let Some(line) = message.and_then(|message| message.lines().next()) else {
        return String::new();
    };
    match line.char_indices().nth(ERROR_CHARS_MAX) {
        Some((end, _)) => format!(": {}…", &line[..end]),
        None => format!(": {line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::slot::first_status;
    use super::super::status::LastError;
    use super::*;
    use crate::registry::Entry;

    fn server(server_state: ServerState) -> ServerStatus {
        ServerStatus {
            state: server_state,
            ..first_status(&Entry::new("a"))
        }
    }

    #[test]
    fn each_state_says_what_to_do() {
        let now = Timestamp::now();
        let disabled = ServerStatus {
            enabled: false,
            ..server(ServerState::Stopped)
        };
        let backoff = ServerStatus {
            next_start: Some(now + std::time::Duration::from_millis(11_001)),
            last_error: Some(LastError {
                message: "it ended (exit status: 3)\nand more".to_owned(),
                at: now,
                stderr: Vec::new(),
            }),
            ..server(ServerState::Backoff)
        };
        let expected = [
            (disabled, "is disabled: `nodewire enable a`"),
            (
                server(ServerState::Stopped),
                "is stopped: `nodewire start a`",
            ),
            (
                backoff,
                "is in backoff: it ended (exit status: 3); it is started again in 12 s (`nodewire logs a`)",
            ),
            (
                server(ServerState::Failed),
                "has failed; it is not started again by itself: correct that, then `nodewire start a`",
            ),
            (
                server(ServerState::Starting),
                "is starting; try again once it is ready",
            ),
        ];
        for (status, text) in expected {
            assert_eq!(state(&status, now), text);
        }
    }

    #[test]
    fn a_few_servers_are_named_and_the_rest_counted() {
        let servers = vec![server(ServerState::Stopping); SERVERS_TOLD + 2];
        let text = told(&servers, " has it, but");
        assert!(
            text.starts_with("server \"a\" (a) has it, but is being stopped; "),
            "{text}"
        );
        assert!(text.ends_with("and 2 more (`nodewire status`)"), "{text}");
    }
}
