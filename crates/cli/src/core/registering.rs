//! `register`, `unregister`, `env`, and `validate` of a folder: on the registry file, without a daemon.

mod env;
mod service;

use std::path::Path;

use nanocore::process::Tools;
use nanocore::register::{self, Finding, Level, RegisterError, RegisterOptions, Step};
use nanocore::registry::{AssetRefs, Entry, NameError, Registry, RegistryError};
use serde_json::{Value, json};

use super::args::{PlaceArgs, RegisterArgs, SwitchArgs, UnregisterArgs};
use super::place::Place;
use crate::failure::{Failure, chain};
use crate::terminal;

pub(super) use env::env;

/// Whether it is a folder, which `validate` then checks as that of a node server.
pub(crate) fn is_server_folder(path: &Path) -> bool {
    path.is_dir()
}

pub(super) async fn register(args: RegisterArgs) -> Result<(), Failure> {
    let place = Place::find(&args.place)?;
    if let Some(service) = &args.nats {
        return service::register(&args, service, &place);
    }
    let options = RegisterOptions {
        fix: args.fix,
        upgrade: args.upgrade,
        install_project: args.install_project,
        tools: Tools {
            python: place.python(args.python.as_deref()),
            path: std::env::var_os("PATH"),
            ..Tools::default()
        },
    };
    let say = |step: Step| if args.json { tell(&step) } else { show(&step) };
    let registered = register::register(&args.path, &place.registry(), options, &say).await;
    let registered = registered.map_err(|error| refused(error, args.json))?;
    let entry = &registered.entry;
    if args.json {
        let mut value = entry_json(entry);
        value["isNew"] = registered.is_new.into();
        terminal::json(json!({"type": "registered", "entry": value}));
        return Ok(());
    }
    let word = if registered.is_new {
        "registered"
    } else {
        "registered again"
    };
    let running = place.holder()?.is_some();
    let next = if running {
        "the daemon starts it"
    } else {
        "start it with `nodewire up`"
    };
    terminal::result(terminal::plain(&format!(
        "{word} {} ({}); {next}",
        entry.server_display_name, entry.server_uid
    )));
    Ok(())
}

/// Checks a folder and changes nothing.
pub(crate) fn validate_folder(path: &Path, json: bool) -> Result<(), Failure> {
    let place = Place::find(&PlaceArgs::default())?;
    let checked = register::check(path, &place.registry()).map_err(|error| refused(error, json))?;
    if json {
        print_findings(&checked.findings);
    }
    if !checked.is_usable() {
        let error = RegisterError::Refused {
            path: checked.folder,
            findings: checked.findings,
        };
        // The findings are printed already.
        return Err(refused(error, false));
    }
    if !json {
        checked.findings.iter().for_each(say_finding);
        terminal::result("the server can be registered");
    }
    Ok(())
}

pub(super) fn unregister(args: &UnregisterArgs) -> Result<(), Failure> {
    let place = Place::find(&args.place)?;
    let entry = register::unregister(&args.name, &place.registry());
    let entry = entry.map_err(|error| refused(error, false))?;
    if args.json {
        terminal::json(entry_json(&entry));
    } else {
        let uid = &entry.server_uid;
        let name = &entry.server_display_name;
        terminal::result(terminal::plain(&format!(
            "unregistered {name} ({uid}); its files are as they were"
        )));
    }
    Ok(())
}

/// Has servers started with the daemon, or not; none unless each is there.
pub(super) fn switch(args: &SwitchArgs, enabled: bool) -> Result<(), Failure> {
    let registry = Place::find(&args.place)?.registry();
    let names = args.names.iter();
    let uids = names
        .map(|name| Ok(find(&registry, name)?.server_uid))
        .collect::<Result<Vec<String>, Failure>>()?;
    let change = registry.change(|entries| {
        let switched = uids.iter().map(|uid| {
            let entry = entries.get_mut(uid)?;
            entry.enabled = enabled;
            Some(entry.clone())
        });
        switched.collect::<Option<Vec<_>>>()
    });
    let entries = change
        .map_err(|error| registry_failed(&error))?
        .ok_or_else(|| Failure::failed("a server was unregistered meanwhile"))?;
    if args.json {
        let entries: Vec<_> = entries.iter().map(entry_json).collect();
        terminal::json(json!(entries));
        return Ok(());
    }
    let word = if enabled { "enabled" } else { "disabled" };
    for entry in &entries {
        let name = &entry.server_display_name;
        terminal::result(terminal::plain(&format!("{word} {name}")));
    }
    Ok(())
}

/// The entry that is called so.
pub(super) fn find(registry: &Registry, name: &str) -> Result<Entry, Failure> {
    let entries = registry.load().map_err(|error| registry_failed(&error))?;
    let entry = entries
        .find(name)
        .map_err(|error| Failure::usage(chain(&error)))?;
    Ok(entry.clone())
}

/// What is wrong in the file is its author's to correct, whichever command finds it.
pub(super) fn registry_failed(error: &RegistryError) -> Failure {
    match error {
        RegistryError::Invalid { .. } | RegistryError::TooLarge { .. } => {
            Failure::usage(chain(error))
        }
        RegistryError::Io { .. } | RegistryError::Locked { .. } | _ => {
            Failure::failed(chain(error))
        }
    }
}

fn refused(error: RegisterError, json: bool) -> Failure {
    let text = chain(&error);
    match error {
        RegisterError::Refused { findings, .. } => {
            if json {
                print_findings(&findings);
            }
            Failure::usage(text)
        }
        RegisterError::Folder { .. } => Failure::usage(text),
        RegisterError::Name(NameError::Unknown { .. } | NameError::Ambiguous { .. }) => {
            Failure::usage(text)
        }
        RegisterError::Registry(error) => registry_failed(&error),
        RegisterError::Install(_) | RegisterError::Io { .. } | _ => Failure::failed(text),
    }
}

fn show(step: &Step) {
    match step {
        Step::Checked(findings) => findings
            .iter()
            .filter(|finding| finding.level < Level::Error)
            .for_each(say_finding),
        Step::Fixed(original) => terminal::say(terminal::plain(&format!(
            "nanoserver.json was written as plain JSON; the original is {}",
            original.display()
        ))),
        Step::Installing(line) => {
            terminal::say(format_args!("  {}", terminal::plain(line.trim_end())))
        }
        Step::Sdk(sdk) => terminal::say(terminal::plain(&format!("SDK {}", sdk.version))),
    }
}

fn say_finding(finding: &Finding) {
    terminal::say(terminal::plain(&finding.to_string()));
}

fn tell(step: &Step) {
    match step {
        Step::Checked(findings) => print_findings(findings),
        Step::Fixed(original) => terminal::json(json!({"type": "fixed", "original": original})),
        Step::Installing(line) => terminal::json(json!({"type": "installing", "line": line})),
        Step::Sdk(sdk) => terminal::json(
            json!({"type": "sdk", "version": sdk.version, "assetRefs": sdk.asset_refs.as_str()}),
        ),
    }
}

fn print_findings(findings: &[Finding]) {
    for finding in findings {
        let mut value = json!(finding);
        value["type"] = "finding".into();
        terminal::json(value);
    }
}

/// Where a server is that somebody else starts, without credentials.
fn url_of(entry: &Entry) -> Option<String> {
    let nats = entry.nats.as_ref();
    let address = nats.and_then(|nats| nats.address.as_ref());
    address
        .map(|address| address.shown())
        .or_else(|| entry.url.clone())
}

/// An entry with the registry's own keys.
pub(super) fn entry_json(entry: &Entry) -> Value {
    json!({
        "serverUid": entry.server_uid,
        "serverPackageId": entry.server_package_id,
        "serverDisplayName": entry.server_display_name,
        "language": entry.language.as_str(),
        "path": entry.path,
        "url": url_of(entry),
        "nats": entry.nats.as_ref().map(|nats| json!({"service": nats.service})),
        "port": entry.port,
        "enabled": entry.enabled,
        "env": entry.env,
        "maxConcurrency": entry.max_concurrency,
        "assetRefs": entry.asset_refs.map(AssetRefs::as_str),
        "sdkVersion": entry.sdk_version,
    })
}
