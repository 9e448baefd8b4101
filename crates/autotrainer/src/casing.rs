//! Key casing: camelCase on the wire, snake_case in applications. spec: autotrainer 6
//!
//! Two functions on one identifier, and the same on the keys of a value ([`camelize_keys`], [`decamelize_keys`]); values
//! are never touched. A Python peer applies the two functions to the *text* of a request (up to 0.9.13 to the text of a
//! response too) as if it were one identifier: what it will make of a text is what [`decamelize`] makes of it.

mod keys;
mod letters;

pub use keys::{camelize_keys, decamelize_keys};

use letters::{is_all_upper_case, is_decimal, is_numeral, is_white_space};

/// `custom_command` → `customCommand`. spec: autotrainer 6.1
#[must_use]
pub fn camelize(name: &str) -> String {
    let Some(chars) = convertible(name) else {
        return name.to_owned();
    };
    let mut out = String::with_capacity(name.len());
    let mut rest = chars.as_slice();
    let keeps_first = is_all_upper_case(chars.iter().take(2).copied());
    if let [first, after @ ..] = rest
        && !keeps_first
    {
        out.extend(first.to_lowercase());
        rest = after;
    }
    // A run at the start stays, so does one at the end.
    let leading = chars.iter().take_while(|char| is_joint(**char)).count();
    let consumed = chars.len() - rest.len();
    let copied = leading.saturating_sub(consumed);
    out.extend(&rest[..copied]);
    join_words(&rest[copied..], &mut out);
    out
}

/// `customCommand` → `custom_command`. spec: autotrainer 6.2
#[must_use]
pub fn decamelize(name: &str) -> String {
    let Some(mut chars) = convertible(name) else {
        return name.to_owned();
    };
    lower_abbreviations(&mut chars);
    part_words(&chars).to_lowercase()
}

/// Without white space; `None` if the name stays as it is.
fn convertible(name: &str) -> Option<Vec<char>> {
    let chars: Vec<char> = name.chars().filter(|char| !is_white_space(*char)).collect();
    let numeral = !chars.is_empty() && chars.iter().all(|char| is_numeral(*char));
    let stays = numeral || is_all_upper_case(chars.iter().copied());
    (!stays).then_some(chars)
}

fn is_joint(char: char) -> bool {
    matches!(char, '-' | '_')
}

/// Deletes each run of joints that something follows, and upper-cases that. spec: autotrainer 6.1, step 4
fn join_words(mut rest: &[char], out: &mut String) {
    while let Some(start) = rest.iter().position(|char| is_joint(*char)) {
        out.extend(&rest[..start]);
        rest = &rest[start..];
        let run = rest.iter().take_while(|char| is_joint(**char)).count();
        match &rest[run..] {
            [] => break,
            [next, after @ ..] => {
                out.extend(next.to_uppercase());
                rest = after;
            }
        }
    }
    out.extend(rest);
}

/// `HTTPServer` → `HttpServer`. spec: autotrainer 6.2, step 3
fn lower_abbreviations(chars: &mut [char]) {
    let of_run = |char: &char| char.is_ascii_uppercase() || is_decimal(*char);
    let mut start = 0;
    while start < chars.len() {
        let run = chars[start..]
            .iter()
            .take_while(|char| of_run(char))
            .count();
        let end = start + run;
        let taken = if end == chars.len() {
            end
        } else {
            end.saturating_sub(1)
        };
        let mut after_letter = false;
        for char in chars.get_mut(start..taken).unwrap_or_default() {
            let letter = char.is_ascii_uppercase();
            if letter && after_letter {
                char.make_ascii_lowercase();
            }
            after_letter = letter;
        }
        start = end + 1;
    }
}

/// Puts `_` before each capital: before the joints that stand before the first, directly before the others, never at
/// the very start. spec: autotrainer 6.2, step 4
fn part_words(chars: &[char]) -> String {
    let mut out = String::with_capacity(chars.len() + 8);
    let first = chars.iter().position(char::is_ascii_uppercase);
    let first_break = first.map(|first| {
        let joints = chars[..first]
            .iter()
            .rev()
            .take_while(|char| is_joint(**char));
        first - joints.count()
    });
    for (at, char) in chars.iter().enumerate() {
        let later_capital = char.is_ascii_uppercase() && first.is_some_and(|first| at > first);
        if later_capital || (first_break == Some(at) && at > 0) {
            out.push('_');
        }
        out.push(*char);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{camelize, decamelize};

    #[test]
    fn what_the_protocol_names_survives_both_ways() {
        for (snake, camel) in [
            ("custom_command", "customCommand"),
            ("rh_max_vp_list", "rhMaxVpList"),
            ("dcs_send_x", "dcsSendX"),
            ("target_y_limit", "targetYLimit"),
        ] {
            assert_eq!(camelize(snake), camel);
            assert_eq!(decamelize(camel), snake);
        }
    }

    #[test]
    fn a_run_of_joints_at_either_end_stays() {
        assert_eq!(camelize("__private_name"), "__privateName");
        assert_eq!(camelize("_a_b_"), "_aB_");
        assert_eq!(camelize("_"), "_");
        assert_eq!(decamelize("_Private"), "_private");
    }
}
