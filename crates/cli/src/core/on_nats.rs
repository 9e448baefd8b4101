//! What to do about servers that only the daemon reaches.

use nanocore::process::Wanted;

use super::args::PlaceArgs;
use super::place::Place;

/// How to reach a server that the registry has as a service on NATS; `None` if it has none such.
pub(crate) fn on_nats(wanted: &Wanted) -> Option<String> {
    let place = Place::find(&PlaceArgs::default()).ok()?;
    let entries = place.registry().load().ok()?;
    let entry = entries.iter().find(|entry| {
        entry.nats.is_some() && wanted.matches(&entry.server_uid, Some(&entry.server_package_id))
    })?;
    let service = &entry.nats.as_ref()?.service;
    Some(format!(
        "the server {} is the service {service} on NATS, which the daemon reaches: `nodewire up`, then `nodewire run --daemon`",
        entry.server_uid
    ))
}
