//! Versions, which are by Semantic Versioning: NATS takes no others.

use semver::Version;

use crate::config::layers::Layers;
use crate::config::problem::Problems;
use crate::config::setting::Table;

/// A server's version has to be one that every wire takes, also those that are served later; a version of the NATS service
/// alone leaves the server's free.
pub(super) fn check(layers: &Layers, problems: &mut Problems) {
    let has_own = layers.table(Table::Nats).has(&["version"]);
    let table = if has_own { Table::Nats } else { Table::Server };
    let view = layers.table(table);
    let version: Option<String> = view.get("version");
    if version.is_none_or(|version| Version::parse(&version).is_ok()) {
        return;
    }
    let message = format!(
        "[{}] version must be by Semantic Versioning, such as 1.0.0 or 1.0.0-rc.1, without a leading `v`",
        table.name()
    );
    problems.add(&view.place("version"), message);
}
