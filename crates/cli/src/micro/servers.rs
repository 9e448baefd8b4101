//! Addresses of servers.

use async_nats::ServerAddr;
use percent_encoding::percent_decode_str;

use super::connection_flags::ConnectionFlags;
use crate::failure::Failure;

/// Addresses separated by commas.
pub(super) fn parse(text: &str) -> Result<Vec<ServerAddr>, Failure> {
    text.split(',')
        .map(str::trim)
        .filter(|url| !url.is_empty())
        .map(parse_one)
        .collect()
}

/// Messages must not have the address itself: it may have a password in it.
fn parse_one(text: &str) -> Result<ServerAddr, Failure> {
    let server: ServerAddr = text
        .parse()
        .map_err(|error| Failure::usage(format!("the server's address cannot be used: {error}")))?;
    if server.is_websocket() {
        return Err(Failure::usage(
            "WebSocket addresses are not supported; give nats:// or tls://",
        ));
    }
    if server.host().is_empty() {
        return Err(Failure::usage("the server's address has no host"));
    }
    Ok(server)
}

/// Addresses as they are shown and handed on.
pub(super) fn join(servers: &[ServerAddr]) -> String {
    let urls: Vec<_> = servers.iter().map(ServerAddr::as_url_str).collect();
    urls.join(",")
}

/// Takes credentials out of the addresses; they count as if given beside, unless others are.
pub(super) fn move_credentials(place: &mut ConnectionFlags) -> Result<(), Failure> {
    let Some(text) = &place.server else {
        return Ok(());
    };
    let mut bare = Vec::new();
    for server in parse(text)? {
        let has_others = place.username.is_some()
            || place.token.is_some()
            || place.creds.is_some()
            || place.nkey.is_some()
            || place.jwt.is_some();
        if let Some(user) = server.username().filter(|_| !has_others) {
            let user = decode(user);
            match server.password() {
                Some(password) => {
                    place.username = Some(user);
                    place.password = Some(decode(password));
                }
                None => place.token = Some(user),
            }
        }
        bare.push(without_credentials(server)?);
    }
    if bare.is_empty() {
        return Err(Failure::usage("the server's address is empty"));
    }
    place.server = Some(join(&bare));
    Ok(())
}

fn without_credentials(server: ServerAddr) -> Result<ServerAddr, Failure> {
    let mut url = server.into_inner();
    // They fail only for addresses without a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    ServerAddr::from_url(url).map_err(|error| Failure::usage(error.to_string()))
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
