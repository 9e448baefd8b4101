//! The classes of characters that the rules speak of, as CPython 3.11 sees them.

/// Unicode white space, and the four separators that Python adds to it.
pub(crate) fn is_white_space(char: char) -> bool {
    char.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&char)
}

/// Whether there is a cased letter, and each is upper case.
pub(crate) fn is_all_upper_case(chars: impl Iterator<Item = char>) -> bool {
    let mut any = false;
    for char in chars {
        if char.is_lowercase() || is_title_case(char) {
            return false;
        }
        any |= char.is_uppercase();
    }
    any
}

/// A digraph such as `ǅ`, which is neither upper nor lower case but has both.
pub(crate) fn is_title_case(char: char) -> bool {
    let alone =
        |mut mapped: std::char::ToLowercase| mapped.len() == 1 && mapped.next() == Some(char);
    !char.is_ascii()
        && !char.is_uppercase()
        && !char.is_lowercase()
        && !alone(char.to_lowercase())
        && !char.to_uppercase().eq([char])
}

/// Digits, fractions and other numerals. The ideographs that Python counts among them are not known here.
pub(crate) fn is_numeral(char: char) -> bool {
    char.is_numeric()
}

/// A decimal digit of any script.
pub(crate) fn is_decimal(char: char) -> bool {
    if char.is_ascii() {
        return char.is_ascii_digit();
    }
    let code = u32::from(char);
    let after = DECIMAL_ZEROS.partition_point(|zero| *zero <= code);
    after > 0 && code - DECIMAL_ZEROS[after - 1] < 10
}

/// Where each script's ten digits begin, in Unicode 14.
#[rustfmt::skip]
const DECIMAL_ZEROS: [u32; 66] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0,
    0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620,
    0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0,
    0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x16a60,
    0x16ac0, 0x16b50, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];

#[cfg(test)]
mod tests {
    use super::{is_all_upper_case, is_decimal, is_title_case};

    #[test]
    fn digits_of_other_scripts_are_decimal() {
        assert!(is_decimal('0') && is_decimal('\u{663}') && is_decimal('\u{1fbf9}'));
        assert!(!is_decimal('\u{b2}') && !is_decimal('\u{66a}') && !is_decimal('\u{2167}'));
    }

    #[test]
    fn a_title_case_digraph_is_not_upper_case() {
        assert!(is_title_case('\u{1c5}') && !is_title_case('A') && !is_title_case('\u{65e5}'));
        assert!(!is_all_upper_case("A\u{1c5}".chars()));
    }
}
