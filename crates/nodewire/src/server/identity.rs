//! Who a server is, on every wire.

#[cfg(feature = "mcp")]
use crate::mcp::McpOptions;

/// The name of a server that nobody has named.
#[cfg(any(
    feature = "autotrainer",
    feature = "config",
    feature = "http",
    feature = "nnrp"
))]
pub(super) const NAME_DEFAULT: &str = "node-server";

/// The version of a server of which nobody says one.
#[cfg(any(feature = "autotrainer", feature = "http", feature = "nnrp"))]
const VERSION_DEFAULT: &str = "0.0.0";

/// What the software is called where a wire has a place for that, too.
#[cfg(any(feature = "autotrainer", feature = "http", feature = "nnrp"))]
pub(crate) const SOFTWARE: &str = concat!("nodewire ", env!("CARGO_PKG_VERSION"));

/// A server's name and version. Every wire announces them that has no name of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Identity {
    pub(crate) name: Option<String>,
    pub(crate) version: Option<String>,
}

impl Identity {
    /// The name, or that of servers that have none.
    #[cfg(any(feature = "autotrainer", feature = "http", feature = "nnrp"))]
    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(NAME_DEFAULT)
    }

    /// The version, or that of servers that have none.
    #[cfg(any(feature = "autotrainer", feature = "http", feature = "nnrp"))]
    pub(crate) fn version(&self) -> &str {
        self.version.as_deref().unwrap_or(VERSION_DEFAULT)
    }

    /// Name, version and software, as discovery on several wires tells them.
    #[cfg(any(feature = "autotrainer", feature = "http", feature = "nnrp"))]
    pub(crate) fn told(&self) -> serde_json::Value {
        serde_json::json!({"name": self.name(), "version": self.version(), "software": SOFTWARE})
    }

    /// Names a server of MCP, unless it has a name of its own.
    #[cfg(feature = "mcp")]
    pub(crate) fn announce(&self, options: &mut McpOptions) {
        let default = McpOptions::default();
        if let Some(name) = self.name.as_ref().filter(|_| options.name == default.name) {
            options.name.clone_from(name);
        }
        let version = self.version.as_ref();
        if let Some(version) = version.filter(|_| options.version == default.version) {
            options.version.clone_from(version);
        }
    }
}
