//! The daemon's node servers, for the catalogue.

use std::time::Duration;

use nanocore::nats::{NatsAddress, NatsAuth};
use nanocore::registry::Entries;
use nodewire::capability::Wire;
use nodewire::client::{NatsLogin, Secret, Target};
use serde_json::Value;

use super::args::DaemonArgs;
use super::client::Daemon;
use super::place::{NatsSetting, Place, variable};
use super::up::embedded_url;
use crate::failure::Failure;

/// A daemon's node servers.
#[derive(Debug, Default)]
pub(crate) struct RunningServers {
    /// Where those are that it keeps up, or finds on NATS.
    pub(crate) targets: Vec<Target>,
    /// What to say of those which should be there, and are not.
    pub(crate) absent: Vec<String>,
}

/// The node servers of the daemon; none if no daemon runs.
///
/// # Errors
/// There is one, and it does not answer in time, or refuses.
pub(crate) async fn running_servers(within: Duration) -> Result<RunningServers, Failure> {
    let args = DaemonArgs::default();
    let Ok(place) = Place::find(&args.place) else {
        return Ok(RunningServers::default());
    };
    let Ok(daemon) = Daemon::at(&place, &args) else {
        return Ok(RunningServers::default());
    };
    let asked = async {
        tokio::try_join!(
            daemon.read::<Value>("/servers"),
            daemon.read::<Value>("/info")
        )
    };
    let told = tokio::time::timeout(within, Box::pin(asked)).await;
    let (servers, info) = told.unwrap_or_else(|_| {
        let text = format!("the daemon at {} does not answer", daemon.url());
        Err(Failure::servers(text))
    })?;
    let known = Known::of(&place);
    let servers = servers["servers"].as_array().or_else(|| servers.as_array());
    let mut running = RunningServers::default();
    for server in servers.into_iter().flatten() {
        if server["state"] == "ready" {
            running.targets.extend(target(server, &info, &known));
        } else {
            running.absent.extend(absent(server));
        }
    }
    Ok(running)
}

/// What to say of a server that is not ready; nothing of one that nobody wants to run.
fn absent(server: &Value) -> Option<String> {
    let state = server["state"].as_str()?;
    let uid = server["serverUid"].as_str()?;
    let is_wanted = !matches!(state, "disabled" | "stopped");
    is_wanted.then(|| {
        format!("the daemon's server {uid} is left out: it is {state} (nodewire status has more)")
    })
}

fn target(server: &Value, info: &Value, known: &Known) -> Option<Target> {
    let url = server["url"].as_str();
    let Some(service) = server["nats"]["service"].as_str() else {
        return Target::parse(Wire::Nanograph, url?).ok();
    };
    let shown = url.or_else(|| info["nats"]["url"].as_str())?;
    let uid = server["serverUid"].as_str().unwrap_or_default();
    Some(nats(known.address(uid, shown), service))
}

fn nats(address: NatsAddress, service: &str) -> Target {
    let login = match address.auth {
        NatsAuth::Url => NatsLogin::Url,
        NatsAuth::Credentials(file) => NatsLogin::Credentials(file),
        NatsAuth::User { user, password } => NatsLogin::User {
            user,
            password: Secret::new(password),
        },
        NatsAuth::Token(token) => NatsLogin::Token(Secret::new(token)),
    };
    let urls: Vec<_> = address.url.split(',').map(str::trim).collect();
    Target::Nats {
        url: Secret::new(urls.join(",")),
        service: Some(service.to_owned()),
        login,
        tls_ca: address.tls_ca,
    }
}

/// Addresses with who we are there, as far as this user may know: the daemon tells of them without.
#[derive(Debug)]
struct Known {
    entries: Option<Entries>,
    /// What the daemon's own NATS may be.
    addresses: Vec<NatsAddress>,
}

impl Known {
    fn of(place: &Place) -> Self {
        let set = place.settings.nats.as_ref().and_then(|set| match set {
            NatsSetting::Word(url) => Some(NatsAddress::new(url)),
            NatsSetting::Place(place) => place.address(),
        });
        let embedded = embedded_url(&place.data).map(NatsAddress::new);
        let flagged = variable("NODEWIRE_NATS").map(NatsAddress::new);
        Self {
            entries: place.registry().load().ok(),
            addresses: [embedded, set, flagged].into_iter().flatten().collect(),
        }
    }

    /// The address that is shown so, so that no password goes to anybody else; as it is shown, if it is not known.
    fn address(&self, uid: &str, shown: &str) -> NatsAddress {
        let entry = self.entries.as_ref().and_then(|entries| entries.get(uid));
        let own = entry.and_then(|entry| entry.nats.as_ref()?.address.as_ref());
        let mut all = own.into_iter().chain(&self.addresses);
        let found = all.find(|address| address.shown() == shown);
        found.map_or_else(|| NatsAddress::new(shown), Clone::clone)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::place::NatsPlace;
    use super::*;

    #[test]
    fn a_password_goes_only_where_it_belongs() {
        let known = Known {
            entries: None,
            addresses: vec![NatsAddress::new("nats://u:secret@127.0.0.1:4222")],
        };
        let info = json!({"nats": {"url": "nats://127.0.0.1:4222"}});
        let at = |server: Value| match target(&server, &info, &known) {
            Some(Target::Nats { url, service, .. }) => (url.reveal().to_owned(), service.unwrap()),
            other => panic!("{other:?}"),
        };
        let own = at(json!({"nats": {"service": "a"}}));
        assert_eq!(own.0, "nats://u:secret@127.0.0.1:4222");
        assert_eq!(own.1, "a");
        let other = at(json!({"nats": {"service": "a"}, "url": "nats://127.0.0.1:4223"}));
        assert_eq!(other.0, "nats://127.0.0.1:4223");
        let nanograph = target(&json!({"url": "ws://127.0.0.1:1/"}), &info, &known);
        assert_eq!(nanograph.unwrap().wire(), Wire::Nanograph);
        assert_eq!(target(&json!({}), &info, &known), None);
    }

    #[test]
    fn who_is_wanted_and_not_there_is_told_of() {
        let told = |state: &str| absent(&json!({"serverUid": "a", "state": state}));
        assert!(
            told("starting")
                .unwrap()
                .contains("server a is left out: it is starting")
        );
        assert!(told("disconnected").is_some());
        assert_eq!((told("disabled"), told("stopped")), (None, None));
    }

    #[test]
    fn who_we_are_is_told_as_the_settings_say() {
        let read = |text: Value| {
            let place: NatsPlace = serde_json::from_value(text).unwrap();
            place.address().unwrap()
        };
        let user = read(json!({"url": "nats://h:1", "user": "u", "password": "p@/:"}));
        let Target::Nats { login, .. } = nats(user, "s") else {
            panic!("another target")
        };
        let NatsLogin::User { user, password } = login else {
            panic!("another login")
        };
        assert_eq!((user.as_str(), password.reveal()), ("u", "p@/:"));
        let token = read(json!({"url": "nats://h:1", "token": "t"}));
        assert!(matches!(token.auth, NatsAuth::Token(_)));
    }
}
