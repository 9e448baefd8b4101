//! The name that was probably meant.

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
        .map(|candidate| (distance(&name, &candidate.replace('-', "_")), candidate))
        .filter(|(distance, _)| *distance <= near_max)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `; did you mean …?`, or nothing.
pub(super) fn hint(near: Option<impl std::fmt::Display>) -> String {
    near.map_or_else(String::new, |near| format!("; did you mean {near}?"))
}

/// How many characters must be put in, taken out, replaced, or swapped with their neighbour.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, a) in left.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, b) in right.iter().enumerate() {
            let replaced = above[column] + usize::from(a != b);
            let mut best = replaced.min(above[column + 1] + 1).min(line[column] + 1);
            let is_swapped =
                row > 0 && column > 0 && *a == right[column - 1] && left[row - 1] == *b;
            if is_swapped {
                best = best.min(before[column - 1] + 1);
            }
            line.push(best);
        }
        before = std::mem::replace(&mut above, line);
    }
    above[right.len()]
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

    #[test]
    fn distances_count_single_edits() {
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("acb", "abc"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
