//! Plain HTTP.

use super::Making;
use crate::config::problem::Problems;
use crate::config::secret_file;
use crate::config::setting::Table;
use crate::http::{HttpConfig, HttpToken};

/// What says who may call; only one can.
const TOKENS: [&str; 4] = ["token", "token_file", "token_env", "open"];

pub(super) fn make(
    making: &Making<'_>,
    base: Option<HttpConfig>,
    problems: &mut Problems,
) -> HttpConfig {
    let view = making.view(Table::Http);
    let is_in_code = base.is_some();
    let mut config = base.unwrap_or_default();
    view.set("listen", &mut config.address);
    view.set("body_bytes_max", &mut config.body_bytes_max);
    view.set("bodies_bytes_max", &mut config.bodies_bytes_max);
    view.set("body_timeout_ms", &mut config.body_timeout);
    view.set("head_timeout_ms", &mut config.head_timeout);
    view.set("connections_max", &mut config.connections_max);
    view.set("parts_max", &mut config.parts_max);
    token(making, &mut config, is_in_code, problems);
    config
}

fn token(making: &Making<'_>, config: &mut HttpConfig, is_in_code: bool, problems: &mut Problems) {
    let view = making.view(Table::Http);
    // `open = false` says nothing.
    let is_open = view.get::<bool>("open") != Some(false);
    let keys: Vec<_> = TOKENS
        .into_iter()
        .filter(|key| *key != "open" || is_open)
        .collect();
    let token = match view.choose(&keys, problems) {
        Some("open") => {
            config.token = None;
            return;
        }
        Some("token") => view.get("token"),
        Some("token_file") => secret_file::read(view, "token_file", problems),
        Some(_) => variable(making, problems),
        None if is_in_code => return,
        None => {
            problems.add(
                &view.place("token"),
                "[http] who may call is not said: give token_file, token_env or NODEWIRE_HTTP_TOKEN, or `open = true` for everybody who reaches the port",
            );
            return;
        }
    };
    // Without one, it was told why, and nothing is served.
    config.token = token.map(|token: String| HttpToken::new(token));
}

/// The token in the variable that `token_env` names.
fn variable(making: &Making<'_>, problems: &mut Problems) -> Option<String> {
    let view = making.view(Table::Http);
    let name: String = view.get("token_env")?;
    let token = (making.around.lookup)(&name).filter(|token| !token.is_empty());
    if token.is_none() {
        problems.add(
            &view.place("token_env"),
            format!("[http] token_env: there is nothing in the environment variable {name}"),
        );
    }
    token
}
