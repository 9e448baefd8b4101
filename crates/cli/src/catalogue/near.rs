//! Names that were probably meant.

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
                distance(&name, &lower)
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

/// Characters that have to be put in, taken out or replaced.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<_> = right.chars().take(LENGTH_MAX + 1).collect();
    let mut row: Vec<_> = (0..=right.len()).collect();
    for (line, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_and_parts_of_names_are_near() {
        let names = ["echo", "image/resize", "resize", "sleep"];
        assert_eq!(nearest("ehco", &names), Vec::<&str>::new());
        assert_eq!(nearest("ech", &names), ["echo"]);
        assert_eq!(nearest("resiez", &names), ["resize"]);
        assert_eq!(nearest("Resize", &names), ["image/resize", "resize"]);
        assert!(nearest("", &names).is_empty());
        assert!(nearest(&"x".repeat(1000), &names).is_empty());
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
