//! Versions, which are by Semantic Versioning: NATS takes no others.

use crate::config::layers::Layers;
use crate::config::problem::Problems;
use crate::config::setting::Table;

/// A server's version has to be one that every wire takes, also those that are served later; a version of the NATS service
/// alone leaves the server's free.
pub(super) fn check(layers: &Layers, problems: &mut Problems) {
    let has_own = layers.table(Table::Nats).has(&["version"]);
    let table = if has_own { Table::Nats } else { Table::Server };
    let view = layers.table(table);
    let version: Option<String> = view.get("version");
    if version.is_none_or(|version| is_semantic(&version)) {
        return;
    }
    let message = format!(
        "[{}] version must be by Semantic Versioning, such as 1.0.0 or 1.0.0-rc.1, without a leading `v`",
        table.name()
    );
    problems.add(&view.place("version"), message);
}

/// `MAJOR.MINOR.PATCH[-PRE.RELEASE][+BUILD]`
fn is_semantic(version: &str) -> bool {
    let (version, build) = halves(version, '+');
    let (core, pre) = halves(version, '-');
    let numbers: Vec<_> = core.split('.').collect();
    numbers.len() == 3
        && numbers.iter().all(|part| is_number(part))
        && pre.is_none_or(|pre| pre.split('.').all(is_pre))
        && build.is_none_or(|build| build.split('.').all(is_word))
}

fn halves(text: &str, separator: char) -> (&str, Option<&str>) {
    match text.split_once(separator) {
        Some((first, second)) => (first, Some(second)),
        None => (text, None),
    }
}

fn is_number(part: &str) -> bool {
    is_digits(part) && has_no_leading_zero(part) && part.parse::<u64>().is_ok()
}

fn is_pre(part: &str) -> bool {
    is_word(part) && (!is_digits(part) || has_no_leading_zero(part))
}

fn is_word(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
}

fn is_digits(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit())
}

fn has_no_leading_zero(part: &str) -> bool {
    part == "0" || !part.starts_with('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart() {
        for version in [
            "0.0.0",
            "1.20.300",
            "1.0.0-rc.1",
            "1.0.0-0a.-.x-y",
            "1.0.0+001.b-c",
            "1.0.0-a+b",
            "18446744073709551615.0.0",
        ] {
            assert!(is_semantic(version), "{version}");
        }
        for version in [
            "",
            "1",
            "1.0",
            "1.0.0.0",
            "v1.0.0",
            " 1.0.0",
            "01.0.0",
            "1.0.0-",
            "1.0.0-01",
            "1.0.0-a..b",
            "1.0.0+",
            "1.0.0+a+b",
            "1.0.0-é",
            "+1.0.0",
            "18446744073709551616.0.0",
        ] {
            assert!(!is_semantic(version), "{version}");
        }
    }
}
