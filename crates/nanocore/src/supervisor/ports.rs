//! Which port a server gets. spec: nanograph 12.4

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

/// Where the search begins.
const FIRST: u16 = 24_000;
/// How many are tried.
const TRIES: u16 = 4000;

/// The ports that are given out, by uid, so that two servers that start at the same time do not get the same.
#[derive(Debug, Default)]
pub(super) struct Ports {
    // A std mutex: it is held for a few binds, never over an await.
    given: Mutex<BTreeMap<String, u16>>,
}

/// A port for a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) port: u16,
    /// The one that it had or wanted, which is taken.
    pub(super) instead_of: Option<u16>,
}

impl Ports {
    /// The registry's port; else the file's, unless another server wants it; else the first free one from 24000 up.
    /// `None` if there is none. `wanted_by_others` are the ports of other registered servers.
    pub(super) fn give(
        &self,
        server_uid: &str,
        registry: Option<u16>,
        file: Option<u16>,
        wanted_by_others: &[u16],
        is_free: impl Fn(u16) -> bool,
    ) -> Option<Given> {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.remove(server_uid);
        let is_usable = |port: u16| !given.values().any(|other| *other == port) && is_free(port);
        let is_unwanted = |port: &u16| !wanted_by_others.contains(port);
        let file = file.filter(is_unwanted);
        let first = registry.or(file);
        let port = first
            .into_iter()
            .chain(file)
            .find(|port| is_usable(*port))
            .or_else(|| {
                (FIRST..FIRST + TRIES)
                    .filter(is_unwanted)
                    .find(|port| is_usable(*port))
            })?;
        given.insert(server_uid.to_owned(), port);
        Some(Given {
            port,
            instead_of: first.filter(|first| *first != port),
        })
    }

    /// The server needs its port no more.
    pub(super) fn give_back(&self, server_uid: &str) {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.remove(server_uid);
    }
}

/// Whether a server could listen there, on all interfaces as Python servers do.
pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_chosen_in_the_order_of_the_table() {
        let ports = Ports::default();
        let all = |_| true;
        let give = |uid: &str, registry, file, others: &[u16], free: &dyn Fn(u16) -> bool| {
            let given = ports.give(uid, registry, file, others, free);
            given.map(|given| (given.port, given.instead_of))
        };
        assert_eq!(give("a", Some(5), Some(6), &[], &all), Some((5, None)));
        assert_eq!(give("b", None, Some(6), &[], &all), Some((6, None)));
        assert_eq!(give("c", None, Some(7), &[7], &all), Some((24_000, None)));
        assert_eq!(give("d", None, None, &[24_002], &all), Some((24_001, None)));
        assert_eq!(give("e", None, None, &[24_002], &all), Some((24_003, None)));
        // Taken by other programs, or given to a server that runs.
        assert_eq!(
            give("f", Some(8), Some(9), &[], &|port| port != 8),
            Some((9, Some(8)))
        );
        assert_eq!(give("g", Some(5), None, &[], &all), Some((24_002, Some(5))));
        // Its own is no obstacle, and free again when given back.
        assert_eq!(give("a", Some(5), None, &[], &all), Some((5, None)));
        ports.give_back("a");
        assert_eq!(give("h", Some(5), None, &[], &all), Some((5, None)));
        assert_eq!(give("i", None, None, &[], &|_| false), None);
    }

    #[test]
    fn a_port_with_a_listener_is_not_free() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!is_free(listener.local_addr().unwrap().port()));
    }
}
