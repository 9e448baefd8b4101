//! Colours as graphs write them: `#rgb` and `#rrggbb`.

use image::Rgb;
use nodewire::NodeError;

pub(crate) fn parse(text: &str) -> Result<Rgb<u8>, NodeError> {
    let digits = text
        .strip_prefix('#')
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .unwrap_or_default();
    let long = match digits.len() {
        3 => digits.chars().flat_map(|digit| [digit, digit]).collect(),
        6 => digits.to_owned(),
        _ => {
            return Err(NodeError::invalid_input(format!(
                "{text:?} is no colour such as #2f3e46"
            )));
        }
    };
    let part = |at: usize| u8::from_str_radix(&long[at..at + 2], 16).unwrap_or_default();
    Ok(Rgb([part(0), part(2), part(4)]))
}

pub(crate) fn show(color: Rgb<u8>) -> String {
    let [red, green, blue] = color.0;
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read_and_shown() {
        assert_eq!(parse("#2f3e46").map(show).ok().as_deref(), Some("#2f3e46"));
        assert_eq!(parse("#abc").map(show).ok().as_deref(), Some("#aabbcc"));
        assert!(parse("red").is_err() && parse("#12").is_err() && parse("#éa").is_err());
    }
}
