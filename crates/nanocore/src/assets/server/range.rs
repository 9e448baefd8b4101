//! `Range` and the conditional headers of downloads. RFC 9110, sections 13 and 14

/// Which bytes to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slice {
    /// All.
    Whole,
    /// So many bytes from an offset.
    Part { start: u64, length: u64 },
    /// The range begins after the end.
    Unsatisfiable,
}

/// A single range of a content of `size` bytes. Several ranges, other units and malformed ones mean the whole.
pub(super) fn slice(header: Option<&str>, size: u64) -> Slice {
    let Some((first, last)) = header
        .and_then(|text| text.trim().strip_prefix("bytes="))
        .and_then(|range| range.split_once('-'))
    else {
        return Slice::Whole;
    };
    match (number(first), number(last)) {
        (Some(start), None) if last.trim().is_empty() => part(start, size.saturating_sub(1), size),
        (None, Some(length)) if first.trim().is_empty() => {
            part(size - length.min(size), size.saturating_sub(1), size)
        }
        (Some(start), Some(end)) if start <= end => {
            part(start, end.min(size.saturating_sub(1)), size)
        }
        _ => Slice::Whole,
    }
}

fn part(start: u64, end: u64, size: u64) -> Slice {
    if start >= size {
        Slice::Unsatisfiable
    } else {
        Slice::Part {
            start,
            length: end - start + 1,
        }
    }
}

fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())?
}

/// Whether `If-None-Match` names this tag, compared weakly.
pub(super) fn names_tag(header: &str, tag: &str) -> bool {
    header.trim() == "*"
        || header
            .split(',')
            .any(|item| item.trim().trim_start_matches("W/") == tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn single_ranges_are_understood() {
        let cases = [
            (
                "bytes=0-0",
                Slice::Part {
                    start: 0,
                    length: 1,
                },
            ),
            (
                "bytes=2-",
                Slice::Part {
                    start: 2,
                    length: 8,
                },
            ),
            (
                "bytes=-3",
                Slice::Part {
                    start: 7,
                    length: 3,
                },
            ),
            (
                "bytes=-99",
                Slice::Part {
                    start: 0,
                    length: 10,
                },
            ),
            (
                "bytes=5-99",
                Slice::Part {
                    start: 5,
                    length: 5,
                },
            ),
            ("bytes=10-", Slice::Unsatisfiable),
            ("bytes=-0", Slice::Unsatisfiable),
        ];
        for (header, expected) in cases {
            assert_eq!(slice(Some(header), 10), expected, "{header}");
        }
        assert_eq!(slice(Some("bytes=0-"), 0), Slice::Unsatisfiable);
    }

    #[test]
    fn anything_else_means_the_whole() {
        for header in [
            "bytes=0-1,3-4",
            "bytes=3-1",
            "bytes=a-b",
            "bytes=",
            "bytes=-",
            "items=0-1",
            "bytes=+1-2",
            "bytes=99999999999999999999-",
        ] {
            assert_eq!(slice(Some(header), 10), Slice::Whole, "{header}");
        }
        assert_eq!(slice(None, 10), Slice::Whole);
    }

    #[test]
    fn tags_are_compared_weakly() {
        assert!(names_tag("*", "\"a\"") && names_tag("\"x\", W/\"a\"", "\"a\""));
        assert!(!names_tag("\"ab\"", "\"a\""));
    }

    proptest! {
        #[test]
        fn a_part_lies_within(header in "bytes=[0-9]{0,20}-[0-9]{0,20}", size in any::<u64>()) {
            if let Slice::Part { start, length } = slice(Some(&header), size) {
                prop_assert!(length > 0 && start.checked_add(length).is_some_and(|end| end <= size));
            }
        }
    }
}
