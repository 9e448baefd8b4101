//! Metrics on an address of their own.

use super::Making;
#[cfg(feature = "http")]
use super::http;
use crate::config::problem::Problems;
#[cfg(feature = "http")]
use crate::config::secret_file;
use crate::config::setting::Table;
#[cfg(feature = "http")]
use crate::http::HttpToken;
use crate::metrics::MetricsConfig;

/// What says who may read them; only one can.
const TOKENS: [&str; 3] = ["token", "token_file", "token_env"];

pub(super) fn make(
    making: &Making<'_>,
    base: Option<MetricsConfig>,
    problems: &mut Problems,
) -> MetricsConfig {
    let view = making.view(Table::Metrics);
    let mut config = base.unwrap_or_default();
    view.set("listen", &mut config.address);
    view.set("connections_max", &mut config.connections_max);
    token(making, &mut config, problems);
    config
}

#[cfg(feature = "http")]
fn token(making: &Making<'_>, config: &mut MetricsConfig, problems: &mut Problems) {
    let view = making.view(Table::Metrics);
    let token: Option<String> = match view.choose(&TOKENS, problems) {
        None => return,
        Some("token") => view.get("token"),
        Some("token_file") => secret_file::read(view, "token_file", problems),
        Some(_) => http::variable(making, Table::Metrics, problems),
    };
    // Without one, it was told why, and nothing is served.
    if let Some(token) = token {
        config.access = HttpToken::new(token).into();
    }
}

#[cfg(not(feature = "http"))]
fn token(making: &Making<'_>, _config: &mut MetricsConfig, problems: &mut Problems) {
    let view = making.view(Table::Metrics);
    let given = TOKENS.into_iter().find(|key| view.has(&[*key]));
    if let Some(key) = given {
        let message = format!("[metrics] {key} needs the feature `http` of the crate nodewire");
        problems.add(&view.place(key), message);
    }
}
