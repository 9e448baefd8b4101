//! The key of a result: what it was made of, and nothing else. spec: nanograph 18

use std::fmt;
use std::str::FromStr;

use nanograph::message::NodeDefinition;
use nodewire_json::{Json, ScanError};
use sha2::{Digest, Sha256};

use super::canonical::Canonical;
use crate::assets::hex;
use crate::workflow::asset_links::AssetLinks;
use crate::workflow::catalog::{InputStyle, Server};
use crate::workflow::graph::{CacheMode, GraphNode};
use crate::workflow::request::value_of;

/// Changes when the encoding does, so that no older key means something else.
const VERSION: &str = "nodewire result 1";

/// Identifies a result by what it was made of: a SHA-256. Shown as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// The key with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is no cache key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cache key has 64 hex digits")]
pub struct BadCacheKey;

impl FromStr for CacheKey {
    type Err = BadCacheKey;

    fn from_str(text: &str) -> Result<Self, BadCacheKey> {
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(BadCacheKey);
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            let pair = text.get(2 * at..2 * at + 2).ok_or(BadCacheKey)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| BadCacheKey)?;
        }
        Ok(Self(bytes))
    }
}

/// What of a key is known before the node's inputs are.
#[derive(Debug, Clone)]
pub(crate) struct KeyBase(Sha256);

impl KeyBase {
    /// `None` if the server's code is not known, or a parameter is nested too deeply.
    ///
    /// Ids, labels, positions, the run and the server's uid are no part of it.
    pub(crate) fn new(
        node: &GraphNode,
        definition: &NodeDefinition,
        server: &Server,
        style: InputStyle,
        assets: Option<&dyn AssetLinks>,
    ) -> Option<Self> {
        let mut text = Canonical::new(assets);
        text.string(VERSION);
        // A server without a package is known by its uid only.
        match &server.package_id {
            Some(package) => text.string("package").string(package),
            None => text.string("server").string(&server.uid),
        };
        text.string(&node.uid)
            .string(&definition.version)
            .string(server.code_epoch.as_deref()?)
            .string(match style {
                InputStyle::List => "list",
                InputStyle::Scalar => "scalar",
            });
        text.members(parameters(node, definition)).ok()?;
        Some(Self(Sha256::new_with_prefix(text.as_bytes())))
    }

    /// The key of the node with these inputs.
    pub(crate) fn key(
        &self,
        inputs: &Json,
        assets: Option<&dyn AssetLinks>,
    ) -> Result<CacheKey, ScanError> {
        let mut text = Canonical::new(assets);
        text.value(inputs)?;
        let digest = self.0.clone().chain_update(text.as_bytes()).finalize();
        Ok(CacheKey(digest.into()))
    }
}

/// Every parameter with the value that is sent.
fn parameters<'a>(
    node: &'a GraphNode,
    definition: &'a NodeDefinition,
) -> impl Iterator<Item = (&'a str, &'a Json)> {
    // Of those that the graph has twice the last counts, and what the definition knows counts over the graph.
    let given = node
        .params
        .iter()
        .map(|param| (param.name.as_str(), &param.value));
    let defined = definition
        .parameters
        .iter()
        .map(|parameter| (parameter.name.as_str(), value_of(node, parameter)));
    given.chain(defined)
}

/// Whether results of a node on a server may be used again.
pub(crate) fn is_cacheable(node: &GraphNode, definition: &NodeDefinition, mode: CacheMode) -> bool {
    match mode {
        CacheMode::Use => true,
        CacheMode::Off => false,
        CacheMode::Auto => {
            let refused = definition
                .raw
                .get("cache")
                .is_some_and(|cache| cache.as_str() == "false");
            !definition.outputs.is_empty()
                && !refused
                && !parameters(node, definition).any(|(name, value)| is_random_seed(name, value))
        }
    }
}

/// A negative seed is the public convention for "random". spec: nanograph 18
fn is_random_seed(name: &str, value: &Json) -> bool {
    (name == "seed" || name.ends_with("_seed"))
        && value.decode::<f64>().is_ok_and(|seed| seed < 0.0)
}
