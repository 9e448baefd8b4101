//! The Nanograph wire: `nanoserver.json` and the protocol's variables, with the settings around them.

use std::net::SocketAddr;

use ::nanograph::assets::AssetClientConfig;
use ::nanograph::config::{ConfigError, ConfigFile, ServerConfig, Severity};

use super::Making;
use crate::config::layers::View;
use crate::config::problem::ConfigPlace;
use crate::config::setting::Table;
use crate::nanograph::NanographConfig;

/// # Errors
/// `nanoserver.json`, or a variable of the protocol, is wrong.
pub(super) fn make(
    making: &Making<'_>,
    base: Option<NanographConfig>,
) -> Result<NanographConfig, ConfigError> {
    let view = making.view(Table::Nanograph);
    let mut config = match base {
        Some(config) => change(config, view),
        None => read(making, view)?,
    };
    if let Some(listen) = view.get::<SocketAddr>("listen") {
        config.listen = listen.ip();
    }
    view.set("fetch_bytes_max", &mut config.fetch_bytes_max);
    view.set("transfers_max", &mut config.transfers_max);
    Ok(config)
}

/// What the program's code says, but for what the settings say. The protocol's variables are not looked at.
fn change(mut config: NanographConfig, view: View<'_>) -> NanographConfig {
    let server = &mut config.server;
    view.set("server_uid", &mut server.server_uid);
    view.set("server_package_id", &mut server.server_package_id);
    view.set("server_display_name", &mut server.server_display_name);
    view.set("domain", &mut server.domain);
    if let Some(listen) = view.get::<SocketAddr>("listen") {
        server.port = listen.port();
    }
    config
}

/// `nanoserver.json` with the protocol's variables. The file may be missing where a table or a flag asks for the wire.
fn read(making: &Making<'_>, view: View<'_>) -> Result<NanographConfig, ConfigError> {
    let around = making.around;
    let lookup = |name: &str| variable(making, view, name);
    let is_asked_for = !matches!(view.place("enabled"), ConfigPlace::Program);
    let server = match around.folder {
        Some(folder) if around.has_nanoserver() || !is_asked_for => {
            ServerConfig::load(folder, lookup)?
        }
        Some(_) | None => ServerConfig::resolve(ConfigFile::default(), |name| {
            lookup(name).or_else(|| default(making, name))
        })?,
    };
    let problems = server.problems.iter();
    for problem in problems.filter(|problem| problem.severity == Severity::Warning) {
        tracing::warn!("{problem}");
    }
    let mut config = NanographConfig::new(server);
    // Without an asset server nodes that need one say so when they run.
    config.assets = AssetClientConfig::from_variables(around.lookup).ok();
    Ok(config)
}

/// A variable of the protocol. A setting of the file counts where it is unset; one of our own variables, or a flag, wins.
fn variable(making: &Making<'_>, view: View<'_>, name: &str) -> Option<String> {
    let key = match name {
        "PORT" => "listen",
        "SERVER_UID" => "server_uid",
        "SERVER_PACKAGE_ID" => "server_package_id",
        "SERVER_DISPLAY_NAME" => "server_display_name",
        "DOMAIN" => "domain",
        _ => return (making.around.lookup)(name),
    };
    let setting = || match key {
        "listen" => view
            .get::<SocketAddr>(key)
            .map(|listen| listen.port().to_string()),
        _ => view.get(key),
    };
    let in_file = matches!(view.place(key), ConfigPlace::File { .. });
    // An empty PORT is an error, an empty other one counts as unset. spec: nanograph 1
    let variable =
        || (making.around.lookup)(name).filter(|text| key == "listen" || !text.is_empty());
    if in_file {
        variable().or_else(setting)
    } else {
        setting().or_else(variable)
    }
}

/// Who a server is that nothing else names.
fn default(making: &Making<'_>, name: &str) -> Option<String> {
    match name {
        "SERVER_UID" | "SERVER_PACKAGE_ID" => Some(making.token()),
        "SERVER_DISPLAY_NAME" => Some(making.name.clone()),
        _ => None,
    }
}
