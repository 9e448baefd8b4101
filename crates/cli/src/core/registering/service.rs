//! `register --nats`: a service of which somebody else starts the instances.

use nanocore::nats::NatsAddress;
use nanocore::registry::{Entry, NatsService};
use serde_json::json;

use super::super::args::RegisterArgs;
use super::super::place::Place;
use super::{entry_json, registry_failed};
use crate::failure::Failure;
use crate::terminal;

pub(super) fn register(args: &RegisterArgs, service: &str, place: &Place) -> Result<(), Failure> {
    if let Some(problem) = NatsService::name_problem(service) {
        return Err(Failure::usage(format!("--nats {service:?} {problem}")));
    }
    let address = args.nats_url.as_ref().map(NatsAddress::new);
    if let Some(problem) = address.as_ref().and_then(NatsAddress::problem) {
        // The address may have a password.
        return Err(Failure::usage(format!("--nats-url {problem}")));
    }
    let uid = format!("nats-{service}");
    let change = place.registry().change(|entries| {
        let known = entries.get(&uid).cloned();
        if known.as_ref().is_some_and(|known| known.nats.is_none()) {
            return None;
        }
        let is_new = known.is_none();
        let mut entry = known.unwrap_or_else(|| {
            let mut entry = Entry::new(&uid);
            service.clone_into(&mut entry.server_package_id);
            service.clone_into(&mut entry.server_display_name);
            entry
        });
        entry.nats = Some(NatsService {
            service: service.to_owned(),
            address: address.clone(),
        });
        entries.put(entry.clone());
        Some((entry, is_new))
    });
    let changed = change.map_err(|error| registry_failed(&error))?;
    let (entry, is_new) = changed.ok_or_else(|| {
        Failure::usage(format!(
            "{uid} is the uid of a server that is not reached over NATS; unregister that first"
        ))
    })?;
    if args.json {
        let mut value = entry_json(&entry);
        value["isNew"] = is_new.into();
        terminal::json(json!({"type": "registered", "entry": value}));
        return Ok(());
    }
    let word = if is_new {
        "registered"
    } else {
        "registered again"
    };
    let on = address.map_or_else(|| "the daemon's NATS".to_owned(), |address| address.shown());
    terminal::result(terminal::plain(&format!(
        "{word} {service} ({uid}) on {on}; start its instances yourself"
    )));
    Ok(())
}
