//! Plain HTTP.

use super::Making;
use crate::config::problem::Problems;
use crate::config::secret_file;
use crate::config::setting::Table;
use crate::http::{Access, HttpConfig, HttpToken};

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
    view.set("write_timeout_ms", &mut config.write_timeout);
    view.set("connections_max", &mut config.connections_max);
    view.set("parts_max", &mut config.parts_max);
    access(
        making,
        Table::Http,
        &mut config.access,
        is_in_code,
        problems,
    );
    config
}

/// Who may call, on a wire of HTTP.
pub(super) fn access(
    making: &Making<'_>,
    table: Table,
    given: &mut Access,
    is_in_code: bool,
    problems: &mut Problems,
) {
    let view = making.view(table);
    // `open = false` says nothing.
    let is_open = view.get::<bool>("open") != Some(false);
    let keys: Vec<_> = TOKENS
        .into_iter()
        .filter(|key| *key != "open" || is_open)
        .collect();
    let token: Option<String> = match view.choose(&keys, problems) {
        Some("open") => {
            *given = Access::Open;
            return;
        }
        Some("token") => view.get("token"),
        Some("token_file") => secret_file::read(view, "token_file", problems),
        Some(_) => variable(making, table, problems),
        None if is_in_code => return,
        None => {
            problems.add(
                &view.place("token"),
                format!(
                    "[{}] who may call is not said: give token_file, token_env or NODEWIRE_{}_TOKEN, or `open = true` for everybody who reaches the port",
                    table.name(),
                    table.name().to_uppercase(),
                ),
            );
            return;
        }
    };
    // Without one, it was told why, and nothing is served.
    if let Some(token) = token {
        *given = HttpToken::new(token).into();
    }
}

/// The token in the variable that `token_env` names.
pub(super) fn variable(
    making: &Making<'_>,
    table: Table,
    problems: &mut Problems,
) -> Option<String> {
    let view = making.view(table);
    let name: String = view.get("token_env")?;
    let token = (making.around.lookup)(&name).filter(|token| !token.is_empty());
    if token.is_none() {
        problems.add(
            &view.place("token_env"),
            format!(
                "[{}] token_env: there is nothing in the environment variable {name}",
                table.name()
            ),
        );
    }
    token
}
