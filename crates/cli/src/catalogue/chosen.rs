//! A node to execute: where it is, and on which wire that can carry what goes in.

use nodewire::capability::{Feature, Support, Wire, support};
use nodewire::client::{Call, NodeDescription, Remote};

use super::found::{self, Found};
use super::near;
use super::places::PlaceFlags;
use super::values;
use crate::failure::{Failure, chain};
use crate::signals::Signals;
use crate::terminal;

/// The order in which wires are tried for a node: first those that tell the kinds of errors and have all of a request's
/// parts, then the others.
const ORDER: [Wire; 5] = [
    Wire::Nats,
    Wire::Nnrp,
    Wire::Http,
    Wire::Autotrainer,
    Wire::Nanograph,
];

/// What is to be executed.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// The node, and what is not its values.
    pub(super) call: Call,
    pub(super) inputs: &'a [String],
    pub(super) parameters: &'a [String],
    pub(super) via: Option<Wire>,
}

/// A call, and where it goes.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) remote: Remote,
    pub(super) server: String,
    pub(super) call: Call,
}

/// Looks for the node, and does this with it. The first signal ends the looking, the second the work.
///
/// # Errors
/// No server has the node, or no wire can carry what goes in; or those of the work.
pub(super) async fn with_node(
    places: &PlaceFlags,
    wanted: Wanted<'_>,
    signals: &Signals,
    work: impl AsyncFnOnce(Chosen) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let look = async {
        let places = places.find(wanted.via).await?;
        Ok(found::look(&places).await)
    };
    let found = signals.unless_stopped(Box::pin(look)).await?;
    let done = match choose(&found, &wanted) {
        Ok(chosen) => signals.unless_killed(Box::pin(work(chosen))).await,
        Err(failure) => Err(failure),
    };
    found::close(&found).await;
    done
}

/// On the first wire that has the node and can carry the call.
fn choose(found: &[Found], wanted: &Wanted<'_>) -> Result<Chosen, Failure> {
    let mut cannot = Vec::new();
    for (remote, server, node) in candidates(found, &wanted.call.node) {
        let wire = remote.wire();
        // What the node takes, each wire says in its own way: bytes are assets on Nanograph.
        let values = match values::read(wanted.inputs, wanted.parameters, node) {
            Ok(values) => values,
            Err(failure) => {
                cannot.push(format!("{wire}: {failure}"));
                continue;
            }
        };
        let mut call = wanted.call.clone();
        (call.inputs, call.parameters) = (values.inputs, values.parameters);
        if let Err(error) = remote.carries(&call) {
            tracing::info!(%wire, %error, "cannot carry the call");
            cannot.push(format!("{wire}: {}: {}", error.kind(), chain(&error)));
            continue;
        }
        for unknown in values.unknown {
            warn(&unknown);
        }
        if let (Some(_), Support::No(reason)) = (call.priority, support(wire, Feature::Priority)) {
            warn(&format!("the priority is lost on {wire}: {reason}"));
        }
        return Ok(Chosen {
            remote: remote.clone(),
            server: server.to_owned(),
            call,
        });
    }
    if cannot.is_empty() {
        return Err(unknown(found, &wanted.call.node));
    }
    cannot.dedup();
    Err(Failure::usage(format!(
        "what goes in cannot be sent to `{}` on any wire that was found: {}",
        wanted.call.node,
        cannot.join("; ")
    )))
}

/// Where the node is, in the order of the wires.
fn candidates<'a>(
    found: &'a [Found],
    node: &'a str,
) -> impl Iterator<Item = (&'a Remote, &'a str, &'a NodeDescription)> {
    let there = ORDER.into_iter().flat_map(move |wire| {
        let on_wire = move |found: &&Found| found.target.wire() == wire;
        found.iter().filter(on_wire)
    });
    let reached =
        there.filter_map(|found| Some((found.remote.as_ref()?, found.servers.as_ref().ok()?)));
    reached.flat_map(move |(remote, servers)| {
        let callable = servers.iter().filter(|server| server.is_callable);
        callable.filter_map(move |server| {
            let mut nodes = server.nodes.iter();
            let node = nodes.find(|each| each.uid == node)?;
            Some((remote, server.name.as_str(), node))
        })
    })
}

fn warn(text: &str) {
    let warning = terminal::warning_word();
    terminal::say(format_args!("{warning} {}", terminal::plain(text)));
}

/// Nobody has the node: tells what is near.
fn unknown(found: &[Found], node: &str) -> Failure {
    let servers = found.iter().filter_map(|found| found.servers.as_ref().ok());
    let servers = servers.flatten().filter(|server| server.is_callable);
    let mut uids: Vec<_> = servers
        .flat_map(|server| &server.nodes)
        .map(|node| node.uid.as_str())
        .collect();
    uids.sort_unstable();
    uids.dedup();
    let unreached: Vec<_> = found
        .iter()
        .filter_map(|found| Some((&found.target, found.servers.as_ref().err()?)))
        .map(|(target, unreached)| format!("{target}: {}", unreached.text))
        .collect();
    if uids.is_empty() && !unreached.is_empty() {
        return Failure::servers(unreached.join("; "));
    }
    let near = near::nearest(node, &uids);
    let mut text = format!("no server has a node `{node}`");
    if near.is_empty() {
        text.push_str("; `nodewire ls` shows which there are");
    } else {
        text.push_str(&format!("; did you mean {}?", near.join(", ")));
    }
    if !unreached.is_empty() {
        text.push_str(&format!(" (not reached: {})", unreached.join("; ")));
    }
    Failure::usage(text)
}
