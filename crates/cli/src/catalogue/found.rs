//! What was found where.

use futures_util::future::join_all;
use nodewire::capability::Wire;
use nodewire::client::{
    NodeDescription, Remote, RemoteError, RemoteOptions, ServerDescription, Target,
};

use super::near;
use super::places::Places;
use crate::failure::{Failure, chain};

/// The order in which wires are tried for a node: first those that tell the kinds of errors and have all of a request's
/// parts, then the others.
pub(super) const ORDER: [Wire; 5] = [
    Wire::Nats,
    Wire::Nnrp,
    Wire::Http,
    Wire::Autotrainer,
    Wire::Nanograph,
];

/// A target, and what is there.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) target: Target,
    pub(super) remote: Option<Remote>,
    pub(super) servers: Result<Vec<ServerDescription>, RemoteError>,
}

impl Found {
    pub(super) async fn look(target: Target, options: RemoteOptions) -> Self {
        match Remote::connect(&target, options).await {
            Ok(remote) => {
                let servers = remote.describe().await;
                Self {
                    target,
                    remote: Some(remote),
                    servers,
                }
            }
            Err(error) => Self {
                target,
                remote: None,
                servers: Err(error),
            },
        }
    }

    pub(super) async fn close(&self) {
        if let Some(remote) = &self.remote {
            remote.close().await;
        }
    }
}

/// Looks everywhere at once. If it is dropped, all connections are given up.
pub(super) async fn look(places: &Places) -> Vec<Found> {
    let looks = places.targets.iter().map(|target| {
        let look = Found::look(target.clone(), places.options.clone());
        Box::pin(look)
    });
    join_all(looks).await
}

pub(super) async fn close(found: &[Found]) {
    join_all(found.iter().map(Found::close)).await;
}

/// A node to execute, and where.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) remote: Remote,
    pub(super) server: String,
    pub(super) node: NodeDescription,
}

/// The node, on the first wire that has it.
///
/// # Errors
/// None has it; tells what is near.
pub(super) fn choose(found: &[Found], node: &str) -> Result<Chosen, Failure> {
    for wire in ORDER {
        let there = found.iter().filter(|found| found.target.wire() == wire);
        for Found {
            remote, servers, ..
        } in there
        {
            let (Some(remote), Ok(servers)) = (remote, servers) else {
                continue;
            };
            for server in servers.iter().filter(|server| server.is_callable) {
                if let Some(found) = server.nodes.iter().find(|each| each.uid == node) {
                    return Ok(Chosen {
                        remote: remote.clone(),
                        server: server.name.clone(),
                        node: found.clone(),
                    });
                }
            }
        }
    }
    Err(unknown(found, node))
}

fn unknown(found: &[Found], node: &str) -> Failure {
    let servers = found.iter().filter_map(|found| found.servers.as_ref().ok());
    let servers = servers.flatten().filter(|server| server.is_callable);
    let mut uids: Vec<_> = servers
        .flat_map(|server| &server.nodes)
        .map(|node| node.uid.as_str())
        .collect();
    uids.sort_unstable();
    uids.dedup();
    let unreachable: Vec<_> = found
        .iter()
        .filter_map(|found| Some((&found.target, found.servers.as_ref().err()?)))
        .map(|(target, error)| format!("{target}: {}", chain(error)))
        .collect();
    if uids.is_empty() && !unreachable.is_empty() {
        return Failure::servers(unreachable.join("; "));
    }
    let near = near::nearest(node, &uids);
    let mut text = format!("no server has a node `{node}`");
    if near.is_empty() {
        text.push_str("; `nodewire ls` shows which there are");
    } else {
        text.push_str(&format!("; did you mean {}?", near.join(", ")));
    }
    if !unreachable.is_empty() {
        text.push_str(&format!(" (not reached: {})", unreachable.join("; ")));
    }
    Failure::usage(text)
}
