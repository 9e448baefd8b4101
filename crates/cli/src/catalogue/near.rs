//! Names that were probably meant.

use strsim::osa_distance;

/// Names that are told.
const NEAR_MAX: usize = 3;
/// Longer names are not compared.
const LENGTH_MAX: usize = 128;

/// Those that are few edits away, or have the name in them; nearest first.
pub(super) fn nearest<'a>(name: &str, names: &[&'a str]) -> Vec<&'a str> {
    let name = name.to_lowercase();
    let length = name.chars().count();
    if length == 0 || length > LENGTH_MAX {
        return Vec::new();
    }
    let near_max = (length / 3).max(1);
    let mut near: Vec<_> = names
        .iter()
        .filter_map(|other| {
            let lower = other.to_lowercase();
            let distance = if lower.contains(&name) {
                1
            } else {
                // Others choose their names.
                let lower: String = lower.chars().take(LENGTH_MAX + 1).collect();
                osa_distance(&name, &lower)
            };
            (distance <= near_max).then_some((distance, *other))
        })
        .collect();
    near.sort_unstable();
    near.into_iter()
        .take(NEAR_MAX)
        .map(|(_, name)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_and_parts_of_names_are_near() {
        let names = ["echo", "image/resize", "resize", "sleep"];
        assert_eq!(nearest("ehco", &names), ["echo"]);
        assert_eq!(nearest("hoce", &names), Vec::<&str>::new());
        assert_eq!(nearest("ech", &names), ["echo"]);
        assert_eq!(nearest("resiez", &names), ["resize"]);
        assert_eq!(nearest("Resize", &names), ["image/resize", "resize"]);
        assert!(nearest("", &names).is_empty());
        assert!(nearest(&"x".repeat(1000), &names).is_empty());
    }
}
