//! The registry, and each registered server's folder and port.

use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener};

use nanocore::register::{self, Level as Found};
use nanocore::registry::{Entry, Registry};

use super::super::place::Place;
use super::{Finding, reason};

pub(super) fn registry(place: &Place, is_running: bool) -> Vec<Finding> {
    let registry = place.registry();
    let entries = match registry.load() {
        Ok(entries) => entries,
        Err(error) => {
            let advice = "correct the file, or restore it from a copy; it is left as it is";
            return vec![Finding::error("registry", reason(&error), advice)];
        }
    };
    let number = entries.iter().count();
    let mut findings = vec![Finding::ok(
        "registry",
        format!("{number} servers registered"),
    )];
    findings.extend(entries.iter().filter_map(conflict));
    findings.extend(entries.iter().filter_map(|entry| folder(entry, &registry)));
    findings.extend(ports(entries.iter().collect(), is_running));
    findings
}

/// An entry that says two things at once.
fn conflict(entry: &Entry) -> Option<Finding> {
    let name = format!("entry of {}", entry.server_display_name);
    let advice = "correct it in the registry; its server is not started before";
    Some(Finding::error(name, entry.conflict()?, advice))
}

/// What is wrong with a server's folder.
fn folder(entry: &Entry, registry: &Registry) -> Option<Finding> {
    let path = entry.path.as_ref()?;
    let name = format!("folder of {}", entry.server_display_name);
    let advice = format!("correct it, then `nodewire register {}`", path.display());
    let checked = match register::check(path, registry) {
        Ok(checked) => checked,
        Err(error) => {
            let advice = format!(
                "bring it back, or `nodewire unregister {}`",
                entry.server_uid
            );
            return Some(Finding::error(name, reason(&error), advice));
        }
    };
    let of = |level: Found| {
        let findings = checked
            .findings
            .iter()
            .filter(move |finding| finding.level == level);
        findings
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("; ")
    };
    if !checked.is_usable() {
        return Some(Finding::error(name, of(Found::Error), advice));
    }
    let warnings = of(Found::Warning);
    if !warnings.is_empty() {
        return Some(Finding::warning(name, warnings, advice));
    }
    Some(Finding::ok(name, path.display().to_string()))
}

/// Ports that two servers are to have, or that somebody else has.
fn ports(entries: Vec<&Entry>, is_running: bool) -> Vec<Finding> {
    let mut owners: HashMap<u16, &Entry> = HashMap::new();
    let mut findings = Vec::new();
    let supervised = entries
        .into_iter()
        .filter(|entry| entry.enabled && entry.path.is_some());
    for entry in supervised {
        let Some(port) = entry.port else { continue };
        let name = format!("port of {}", entry.server_display_name);
        if let Some(other) = owners.insert(port, entry) {
            let text = format!("{port} is that of {}, too", other.server_display_name);
            findings.push(Finding::warning(
                name,
                text,
                "nothing: the daemon gives one of them another",
            ));
        // The daemon's own servers have theirs.
        } else if !is_running && TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_err() {
            let text = format!("{port} is taken by another program");
            findings.push(Finding::warning(
                name,
                text,
                "nothing: the daemon gives it another port",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    fn entry(uid: &str, port: u16) -> Entry {
        let mut entry = Entry::new(uid);
        entry.path = Some("/srv".into());
        entry.port = Some(port);
        entry
    }

    #[test]
    fn ports_that_are_taken_are_told() {
        let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let entries = [entry("a", port), entry("b", port)];
        let found = ports(entries.iter().collect(), false);
        let texts: Vec<_> = found
            .iter()
            .map(|finding| (finding.level, &*finding.message))
            .collect();
        let expected = [
            (
                Level::Warning,
                &*format!("{port} is taken by another program"),
            ),
            (Level::Warning, &*format!("{port} is that of a, too")),
        ];
        assert_eq!(texts, expected);
        assert_eq!(ports(entries[..1].iter().collect(), true), []);
    }
}
