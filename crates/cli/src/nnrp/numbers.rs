//! Sets of known extensions on the command line.

use std::fmt;
use std::str::FromStr;

/// Numbers of 16 bits: a list, `none`, or `any` for no set at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownSet(Option<Vec<u16>>);

impl KnownSet {
    /// `None` if everything is kept.
    pub(super) fn as_deref(&self) -> Option<&[u16]> {
        self.0.as_deref()
    }
}

impl FromStr for KnownSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "any" => Ok(Self(None)),
            "none" => Ok(Self(Some(Vec::new()))),
            list => list
                .split(',')
                .map(number)
                .collect::<Result<_, _>>()
                .map(|list| Self(Some(list))),
        }
    }
}

impl fmt::Display for KnownSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(numbers) = &self.0 else {
            return f.write_str("any");
        };
        let numbers: Vec<_> = numbers
            .iter()
            .map(|number| format!("{number:#06x}"))
            .collect();
        f.write_str(if numbers.is_empty() { "none" } else { "" })?;
        f.write_str(&numbers.join(","))
    }
}

fn number(text: &str) -> Result<u16, String> {
    let text = text.trim();
    let number = match text.strip_prefix("0x") {
        Some(digits) => u16::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| format!("{text:?} is no number from 0 to 65535, nor `none` or `any`"))
}

#[cfg(test)]
mod tests {
    use super::KnownSet;

    #[test]
    fn sets_are_read_and_shown() {
        for (text, shown) in [
            ("any", "any"),
            ("none", "none"),
            ("0x0101, 7", "0x0101,0x0007"),
        ] {
            assert_eq!(text.parse::<KnownSet>().unwrap().to_string(), shown);
        }
        for wrong in ["", "0x", "65536", "1,,2", "-1", "every"] {
            assert!(wrong.parse::<KnownSet>().is_err(), "{wrong}");
        }
    }
}
