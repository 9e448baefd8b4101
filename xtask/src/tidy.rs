//! `cargo xtask tidy`: the rules of ARCHITECTURE.md that a tool can check.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::command::{cargo, root};
use crate::{rules, sans_io};

pub(crate) fn run() -> anyhow::Result<()> {
    let packages = packages()?;
    let mut problems = Vec::new();
    for package in &packages {
        check_edges(package, &packages, &mut problems);
        check_manifest(package, &mut problems)?;
        check_sources(package, &mut problems)?;
    }
    check_readme(&mut problems)?;
    if problems.is_empty() {
        println!("tidy: {} packages, no problems", packages.len());
        return Ok(());
    }
    bail!("{} problems:\n{}", problems.len(), problems.join("\n"))
}

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<PathBuf>,
    source: Option<String>,
}

fn packages() -> anyhow::Result<Vec<Package>> {
    let output = cargo(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root()?)
        .output()?;
    if !output.status.success() {
        bail!(
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(serde_json::from_slice::<Metadata>(&output.stdout)?.packages)
}

/// Rules 1 to 4: who may depend on whom.
fn check_edges(package: &Package, all: &[Package], problems: &mut Vec<String>) {
    let name = package.name.as_str();
    let Some(allowed) = find(rules::EDGES, name) else {
        problems.push(format!(
            "{name}: not in the table of packages; add it to xtask/src/rules.rs and ARCHITECTURE.md"
        ));
        return;
    };
    let in_tests = find(rules::TEST_EDGES, name).unwrap_or_default();
    let forbidden = find(rules::FORBIDDEN_EXTERNAL, name).unwrap_or_default();
    let only = find(rules::ONLY_EXTERNAL, name);
    for dependency in &package.dependencies {
        let to = dependency.name.as_str();
        let is_test = dependency.kind.as_deref() == Some("dev");
        let ours = all.iter().any(|package| package.name == to);
        if ours && !allowed.contains(&to) && !(is_test && in_tests.contains(&to)) {
            problems.push(format!(
                "{name} must not depend on {to} (ARCHITECTURE.md, dependencies)"
            ));
        }
        let is_listed = only.is_none_or(|only| ours || only.contains(&to));
        if !is_test && (forbidden.contains(&to) || !is_listed) {
            problems.push(format!("{name} must not depend on {to}: it does no IO"));
        }
        if !ours && (dependency.path.is_some() || !from_registry(dependency)) {
            problems.push(format!(
                "{name}: {to} comes from outside the workspace and the registry"
            ));
        }
    }
}

fn from_registry(dependency: &Dependency) -> bool {
    dependency
        .source
        .as_deref()
        .is_some_and(|source| source.starts_with("registry+"))
}

fn find<'a>(table: &'a [(&str, &'a [&'a str])], name: &str) -> Option<&'a [&'a str]> {
    table
        .iter()
        .find(|(key, _)| *key == name)
        .map(|(_, value)| *value)
}

/// Lints, edition and versions come from the workspace.
fn check_manifest(package: &Package, problems: &mut Vec<String>) -> anyhow::Result<()> {
    let manifest = fs::read_to_string(&package.manifest_path)?;
    for line in [
        "[lints]\nworkspace = true",
        "edition.workspace = true",
        "license.workspace = true",
    ] {
        if !manifest.contains(line) {
            problems.push(format!(
                "{}: the manifest lacks `{}`",
                package.name,
                line.replace('\n', " ")
            ));
        }
    }
    for line in manifest.lines() {
        let own_version = line.split_once(" = ").is_some_and(|(_, value)| {
            value.starts_with("\"") && value[1..].starts_with(|c: char| c.is_ascii_digit())
        });
        if own_version {
            problems.push(format!(
                "{}: `{line}`: versions stand in the workspace's manifest",
                package.name
            ));
        }
    }
    Ok(())
}

/// Rule 5, and nothing that needs files outside the repository.
fn check_sources(package: &Package, problems: &mut Vec<String>) -> anyhow::Result<()> {
    let folder = package
        .manifest_path
        .parent()
        .context("a manifest lies in a folder")?;
    let is_program = rules::PROGRAMS.contains(&package.name.as_str());
    for file in rust_files(folder)? {
        let shown = file.strip_prefix(root()?)?.display().to_string();
        let text = fs::read_to_string(&file)?;
        // This file and the rules name what they look for.
        if !shown.starts_with("xtask/") && text.contains("../shared") {
            problems.push(format!("{shown}: names a file outside the repository"));
        }
        let is_source = file.starts_with(folder.join("src"));
        if is_source && sans_io::applies_to(&package.name) {
            let found = sans_io::problems(&text).into_iter();
            problems.extend(found.map(|(line, banned, instead)| {
                format!("{shown}:{line}: `{banned}` is not for what does no IO; {instead}")
            }));
        }
        let library = is_source && !is_program;
        if !library || rules::PROGRAM_ONLY_EXCEPT.contains(&shown.as_str()) {
            continue;
        }
        for (number, line) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            for (banned, instead) in rules::PROGRAM_ONLY
                .iter()
                .filter(|(banned, _)| line.contains(banned))
            {
                problems.push(format!(
                    "{shown}:{}: `{banned}` is for programs only; {instead}",
                    number + 1
                ));
            }
        }
    }
    Ok(())
}

fn rust_files(folder: &Path) -> anyhow::Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.insert(path);
            }
        }
    }
    Ok(files)
}

/// The README's quick start is two blocks of one command each.
fn check_readme(problems: &mut Vec<String>) -> anyhow::Result<()> {
    let readme = fs::read_to_string(root()?.join("README.md"))?;
    let commands = rules::quick_start_commands(&readme);
    if commands.len() != 2 || commands.iter().any(|command| command.lines().count() != 1) {
        problems.push(format!(
            "README.md: the quick start has two sh blocks of one command each, not {commands:?}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(name: &str, to: &str, kind: Option<&str>) -> Vec<String> {
        let dependency = Dependency {
            name: to.to_owned(),
            kind: kind.map(str::to_owned),
            path: None,
            source: Some("registry+https://example.invalid".to_owned()),
        };
        let package = Package {
            name: name.to_owned(),
            manifest_path: PathBuf::new(),
            dependencies: vec![dependency],
        };
        let mut problems = Vec::new();
        check_edges(&package, &[], &mut problems);
        problems
    }

    #[test]
    fn what_does_no_io_depends_on_what_is_listed() {
        for to in ["socket2", "mio", "async-std", "tokio", "chrono"] {
            for kind in [None, Some("build")] {
                assert_eq!(problems("nnrp-wire", to, kind).len(), 1, "{to}");
            }
            // Tests may do IO.
            assert!(problems("nnrp-wire", to, Some("dev")).is_empty(), "{to}");
        }
        assert!(problems("nnrp-wire", "bytes", None).is_empty());
        assert!(problems("nats-broker", "socket2", None).is_empty());
        assert_eq!(problems("nodewire-json", "tokio", None).len(), 1);
    }
}
