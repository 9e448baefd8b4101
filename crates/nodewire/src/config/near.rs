//! The name that was probably meant.

use strsim::osa_distance;

/// Longer names are not compared.
const LENGTH_MAX: usize = 64;

/// The candidate that is nearest to `name`, if it is near.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let name = name.to_lowercase().replace('-', "_");
    if name.chars().count() > LENGTH_MAX {
        return None;
    }
    let near_max = (name.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (osa_distance(&name, &candidate.replace('-', "_")), candidate))
        .filter(|(distance, _)| *distance <= near_max)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `; did you mean …?`, or nothing.
pub(super) fn hint(near: Option<impl std::fmt::Display>) -> String {
    near.map_or_else(String::new, |near| format!("; did you mean {near}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_near_and_other_words_are_not() {
        let names = ["listen", "token_file", "token_env", "open"];
        for (typed, meant) in [
            ("listne", Some("listen")),
            ("Listen", Some("listen")),
            ("token-file", Some("token_file")),
            ("tokenfile", Some("token_file")),
            ("opne", Some("open")),
            ("workers", None),
            ("", None),
            ("é", None),
        ] {
            assert_eq!(nearest(typed, names), meant, "{typed}");
        }
        assert_eq!(nearest(&"x".repeat(1000), names), None);
    }
}
