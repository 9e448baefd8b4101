//! The casing of all keys of a value.

use std::collections::HashMap;
use std::ops::Range;

use nodewire_json::{Json, Reader, ScanError};

use super::{camelize, decamelize};
use crate::json::push_string;

/// The value with every key in camelCase, at every level; see [`camelize`].
///
/// Values stay as they are, byte for byte. Of keys that become equal, the place of the first is kept with the value of
/// the last. spec: autotrainer 3.1, 6.5
#[must_use]
pub fn camelize_keys(value: &Json) -> Json {
    convert_keys(value, camelize)
}

/// The value with every key in snake_case, at every level; otherwise as [`camelize_keys`].
#[must_use]
pub fn decamelize_keys(value: &Json) -> Json {
    convert_keys(value, decamelize)
}

fn convert_keys(value: &Json, convert: fn(&str) -> String) -> Json {
    let mut out = String::with_capacity(value.as_str().len() + 16);
    let mut keys = Keys {
        convert,
        out: &mut out,
    };
    let written = keys.value(&mut value.reader());
    // A `Json` is well-formed and stays so; only one put together deeper than the limit cannot be taken apart.
    written
        .and_then(|()| Json::parse(out))
        .unwrap_or_else(|_| value.clone())
}

struct Keys<'o> {
    convert: fn(&str) -> String,
    out: &'o mut String,
}

impl Keys<'_> {
    fn value(&mut self, reader: &mut Reader<'_>) -> Result<(), ScanError> {
        if reader.at_object() {
            self.object(reader)
        } else if reader.at_array() {
            self.array(reader)
        } else {
            self.out.push_str(reader.value()?.as_str());
            Ok(())
        }
    }

    fn array(&mut self, reader: &mut Reader<'_>) -> Result<(), ScanError> {
        self.out.push('[');
        let start = self.out.len();
        reader.array(|reader| {
            self.separate(start);
            self.value(reader)
        })?;
        self.out.push(']');
        Ok(())
    }

    fn object(&mut self, reader: &mut Reader<'_>) -> Result<(), ScanError> {
        self.out.push('{');
        let start = self.out.len();
        let mut members = Members::default();
        reader.object(|key, reader| {
            self.separate(start);
            let member_start = self.out.len();
            let key = (self.convert)(&key.name());
            push_string(self.out, &key);
            self.out.push_str(": ");
            self.value(reader)?;
            members.add(key, member_start..self.out.len());
            Ok(())
        })?;
        members.write_once_each(self.out, start);
        self.out.push('}');
        Ok(())
    }

    fn separate(&mut self, start: usize) {
        if self.out.len() > start {
            self.out.push_str(", ");
        }
    }
}

/// Where the members of an object were written, in order of the first of each key.
#[derive(Default)]
struct Members {
    written: Vec<Range<usize>>,
    by_key: HashMap<String, usize>,
    collided: bool,
}

impl Members {
    fn add(&mut self, key: String, text: Range<usize>) {
        let place = *self.by_key.entry(key).or_insert(self.written.len());
        if let Some(first) = self.written.get_mut(place) {
            *first = text;
            self.collided = true;
        } else {
            self.written.push(text);
        }
    }

    /// Leaves one member of each key in what was written from `start` on.
    fn write_once_each(&self, out: &mut String, start: usize) {
        if !self.collided {
            return;
        }
        let members: Vec<&str> = self.written.iter().map(|text| &out[text.clone()]).collect();
        let members = members.join(", ");
        out.truncate(start);
        out.push_str(&members);
    }
}

#[cfg(test)]
mod tests {
    use nodewire_json::Json;

    use super::{camelize_keys, decamelize_keys};

    fn json(text: &'static str) -> Json {
        Json::parse(text).unwrap()
    }

    #[test]
    fn keys_at_every_level_and_nothing_else() {
        let value = json(r#"{"a_b":[{"c_d":"e_f","n":1180591620717411303424}],"nan":NaN}"#);
        let camel = r#"{"aB": [{"cD": "e_f", "n": 1180591620717411303424}], "nan": NaN}"#;
        assert_eq!(camelize_keys(&value).as_str(), camel);
    }

    #[test]
    fn colliding_keys_keep_the_first_place_and_the_last_value() {
        let value = json(r#"{"aB": 1, "x": {"a_b": 0, "aB": [1]}, "a_b": 2}"#);
        assert_eq!(
            decamelize_keys(&value).as_str(),
            r#"{"a_b": 2, "x": {"a_b": [1]}}"#
        );
    }

    #[test]
    fn keys_are_escaped_again() {
        let value = json(r#"{"say_\"hi\"\n": 1}"#);
        assert_eq!(camelize_keys(&value).as_str(), r#"{"say\"hi\"": 1}"#);
    }
}
