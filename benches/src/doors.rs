//! What a door costs: a node that does nothing over each wire, and a bare echo on the same transport.
//!
//! Client, runtime and transport library are the same for both; one request is under way at a time.

mod bare;
mod client;
mod node;

use std::collections::BTreeMap;

use anyhow::Context;
use nodewire::capability::Wire;
use serde::{Deserialize, Serialize};

pub use bare::serve as serve_bare;
pub use client::{Load, Outcome};
pub use node::serve as serve_nodes;

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The transport's library alone.
    Bare,
    /// The node, through its binding and the executor.
    Node,
}

impl Kind {
    /// The subject that answers over NATS.
    const fn subject(self) -> &'static str {
        match self {
            Self::Bare => "bare.nothing",
            Self::Node => "doors.nothing",
        }
    }
}

/// Where each wire can be reached, by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses(BTreeMap<String, String>);

impl Addresses {
    fn new(addresses: impl IntoIterator<Item = (Wire, String)>) -> Self {
        let addresses = addresses.into_iter();
        Self(
            addresses
                .map(|(wire, address)| (wire.name().to_owned(), address))
                .collect(),
        )
    }

    /// What a server announced.
    ///
    /// # Errors
    /// It is something else.
    pub fn read(announced: &str) -> anyhow::Result<Self> {
        serde_json::from_str(announced).context("no addresses")
    }

    /// Of one wire.
    ///
    /// # Errors
    /// The wire is not served.
    pub fn of(&self, wire: Wire) -> anyhow::Result<&str> {
        let address = self.0.get(wire.name());
        address
            .map(String::as_str)
            .with_context(|| format!("{wire} is not served"))
    }

    fn announce(&self, announce: impl FnOnce(&str)) -> anyhow::Result<()> {
        announce(&serde_json::to_string(self)?);
        Ok(())
    }
}
