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

/// Characters that have to be put in, taken out, replaced, or swapped with their neighbour.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<_> = left.chars().collect();
    let right: Vec<_> = right.chars().take(LENGTH_MAX + 1).collect();
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
    fn slips_and_parts_of_names_are_near() {
        let names = ["echo", "image/resize", "resize", "sleep"];
        assert_eq!(nearest("ehco", &names), ["echo"]);
        assert_eq!(nearest("hoce", &names), Vec::<&str>::new());
        assert_eq!(nearest("ech", &names), ["echo"]);
        assert_eq!(nearest("resiez", &names), ["resize"]);
        assert_eq!(nearest("Resize", &names), ["image/resize", "resize"]);
        assert!(nearest("", &names).is_empty());
        assert!(nearest(&"x".repeat(1000), &names).is_empty());
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("acb", "abc"), 1);
    }
}
