//! The NATS that the daemon looks for node servers on: a broker inside it, unless told otherwise.
//!
//! spec: nats-micro 15.3, but that nothing else is looked for: a daemon must not send what it runs to a server that merely
//! happens to listen on this machine.

use std::path::Path;

use nanocore::daemon::DaemonOptions;
use nanocore::nats::NatsAddress;

use super::super::args::UpArgs;
use super::super::place::{NatsPlace, NatsSetting, Place, variable};
use super::embedded::Embedded;
use crate::failure::Failure;

/// What node servers get to know of it.
const VARIABLE: &str = "NODEWIRE_NATS_URL";

/// Which NATS is wanted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Off,
    Embedded,
    At(NatsAddress),
}

/// Flag, else variable, else `config.json`, else the embedded one.
pub(super) fn wanted(args: &UpArgs, place: &Place) -> Result<Wanted, Failure> {
    let said = args.nats.clone().or_else(|| variable("NODEWIRE_NATS"));
    if let Some(said) = said {
        return of_word("--nats", &said);
    }
    match &place.settings.nats {
        None => Ok(Wanted::Embedded),
        Some(NatsSetting::Word(word)) => of_word("nats in config.json", word),
        Some(NatsSetting::Place(place)) => of_place(place),
    }
}

fn of_word(place: &str, word: &str) -> Result<Wanted, Failure> {
    match word {
        "embedded" => Ok(Wanted::Embedded),
        "off" => Ok(Wanted::Off),
        url => at(place, NatsAddress::new(url)),
    }
}

fn of_place(place: &NatsPlace) -> Result<Wanted, Failure> {
    let address = place.address().ok_or_else(|| {
        let text = "nats in config.json: give one of credentials, user with password, and token";
        Failure::usage(text)
    })?;
    at("nats in config.json", address)
}

fn at(place: &str, address: NatsAddress) -> Result<Wanted, Failure> {
    match address.problem() {
        None => Ok(Wanted::At(address)),
        // The address may have a password.
        Some(problem) => Err(Failure::usage(format!(
            "{place}: expected embedded, off or an address; an address {problem}"
        ))),
    }
}

impl Wanted {
    /// Starts the broker if it is wanted, and tells the daemon and its node servers where it is.
    pub(super) async fn apply(
        self,
        options: &mut DaemonOptions,
        data: &Path,
    ) -> Result<Option<Embedded>, Failure> {
        let (address, embedded) = match self {
            Self::Off => return Ok(None),
            Self::At(address) => (address, None),
            Self::Embedded => {
                let embedded = Embedded::start(data).await?;
                (NatsAddress::new(embedded.url()), Some(embedded))
            }
        };
        let supervisor = &mut options.supervisor;
        supervisor
            .env
            .push((VARIABLE.to_owned(), address.url.clone()));
        supervisor.nats.is_embedded = embedded.is_some();
        supervisor.nats.broker = Some(address);
        Ok(embedded)
    }
}

#[cfg(test)]
mod tests {
    use nanocore::nats::NatsAuth;

    use super::*;

    #[test]
    fn words_and_addresses_are_told_apart() {
        assert_eq!(of_word("--nats", "off").unwrap(), Wanted::Off);
        assert_eq!(of_word("--nats", "embedded").unwrap(), Wanted::Embedded);
        let url = "nats://u:secret@host:4222";
        assert_eq!(
            of_word("--nats", url).unwrap(),
            Wanted::At(NatsAddress::new(url))
        );
        let error = of_word("--nats", "http://u:secret@host")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("--nats: expected embedded, off or an address"),
            "{error}"
        );
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn an_object_says_where_and_who() {
        let of = |json: serde_json::Value| of_place(&serde_json::from_value(json).unwrap());
        let both = serde_json::json!({"url": "nats://h", "token": "t", "user": "u"});
        assert!(of(both).unwrap_err().to_string().contains("give one of"));
        let user = serde_json::json!({"url": "tls://h", "user": "u", "password": "p"});
        let Wanted::At(address) = of(user).unwrap() else {
            panic!("it is an address")
        };
        assert!(matches!(address.auth, NatsAuth::User { .. }));
    }
}
