//! The `meta` part of an upload: JSON, or the Python literal that the Python SDK sends. spec: nanograph 19.1, N15

use nodewire_json::Json;

/// How deep a literal may be nested.
const DEPTH_MAX: usize = 64;

/// `meta` as a JSON object; text that is neither JSON nor a Python literal of an object is kept under `raw`.
pub(crate) fn meta_object(text: &str) -> Json {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Json::from(serde_json::json!({}));
    }
    let json = Json::parse(trimmed.to_owned())
        .ok()
        .map(|json| json.to_strict());
    json.filter(is_object)
        .or_else(|| python_literal(trimmed).filter(is_object))
        .unwrap_or_else(|| Json::from(serde_json::json!({ "raw": text })))
}

fn is_object(json: &Json) -> bool {
    json.kind() == nodewire_json::Kind::Object
}

/// The JSON value of a Python literal made of dicts, lists, tuples, strings, numbers, `True`, `False` and `None`.
///
/// The text is read, never evaluated. Keys that are no strings become what Python's JSON writer makes of them.
pub(crate) fn python_literal(text: &str) -> Option<Json> {
    let mut reader = Reader {
        rest: text,
        out: String::with_capacity(text.len()),
    };
    reader.value(0)?;
    reader.skip_space();
    if !reader.rest.is_empty() {
        return None;
    }
    Json::parse(reader.out).ok()
}

struct Reader<'a> {
    rest: &'a str,
    out: String,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.skip_space();
        match self.rest.bytes().next()? {
            b'{' => self.dict(depth),
            b'[' => self.sequence("[", "]", depth),
            b'(' => self.sequence("(", ")", depth),
            b'\'' | b'"' => {
                let text = self.string()?;
                self.push_string(&text)
            }
            b'-' | b'0'..=b'9' | b'.' => {
                let number = self.number()?;
                self.out.push_str(&number);
                Some(())
            }
            _ => {
                let word = self.word()?;
                self.out.push_str(word);
                Some(())
            }
        }
    }

    fn dict(&mut self, depth: usize) -> Option<()> {
        self.take("{")?;
        self.out.push('{');
        let mut first = true;
        while !self.took("}") {
            if !first {
                self.out.push_str(", ");
            }
            first = false;
            let key = self.key()?;
            self.push_string(&key)?;
            self.take(":")?;
            self.out.push_str(": ");
            self.value(depth + 1)?;
            if !self.took(",") {
                self.take("}")?;
                break;
            }
        }
        self.out.push('}');
        Some(())
    }

    fn key(&mut self) -> Option<String> {
        self.skip_space();
        match self.rest.bytes().next()? {
            b'\'' | b'"' => self.string(),
            b'-' | b'0'..=b'9' | b'.' => self.number(),
            _ => self.word().map(str::to_owned),
        }
    }

    /// A list, a tuple, or an expression in parentheses.
    fn sequence(&mut self, open: &str, close: &str, depth: usize) -> Option<()> {
        self.take(open)?;
        let start = self.out.len();
        self.out.push('[');
        let (mut count, mut comma) = (0_usize, false);
        while !self.took(close) {
            if count > 0 {
                self.out.push_str(", ");
            }
            self.value(depth + 1)?;
            count += 1;
            comma = self.took(",");
            if !comma {
                self.take(close)?;
                break;
            }
        }
        if close == ")" && count == 1 && !comma {
            self.out.remove(start);
        } else {
            self.out.push(']');
        }
        Some(())
    }

    fn string(&mut self) -> Option<String> {
        let quote = self.rest.chars().next()?;
        let mut text = String::new();
        let mut rest = self.rest.get(1..)?;
        loop {
            let at = rest.find([quote, '\\', '\n'])?;
            text.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix(quote) {
                self.rest = after;
                return Some(text);
            }
            rest = unescape(rest.strip_prefix('\\')?, &mut text)?;
        }
    }

    fn number(&mut self) -> Option<String> {
        let length = self
            .rest
            .bytes()
            .take_while(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'))
            .count();
        let (text, rest) = self.rest.split_at(length);
        let mut number = text.to_owned();
        if number.ends_with('.') {
            number.push('0');
        }
        if let Some(at) = number
            .find('.')
            .filter(|at| *at == 0 || number[..*at].ends_with('-'))
        {
            number.insert(at, '0');
        }
        Json::parse(number.clone()).ok()?;
        self.rest = rest;
        Some(number)
    }

    fn word(&mut self) -> Option<&'static str> {
        const WORDS: [(&str, &str); 3] = [("True", "true"), ("False", "false"), ("None", "null")];
        let (python, json) = WORDS
            .into_iter()
            .find(|(python, _)| self.rest.starts_with(python))?;
        self.rest = &self.rest[python.len()..];
        Some(json)
    }

    fn push_string(&mut self, text: &str) -> Option<()> {
        self.out.push_str(&serde_json::to_string(text).ok()?);
        Some(())
    }

    fn take(&mut self, token: &str) -> Option<()> {
        self.took(token).then_some(())
    }

    fn took(&mut self, token: &str) -> bool {
        self.skip_space();
        let after = self.rest.strip_prefix(token);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }
}

/// Reads one escape, without its backslash, and gives what follows it.
fn unescape<'a>(escape: &'a str, text: &mut String) -> Option<&'a str> {
    let kind = escape.chars().next()?;
    let rest = &escape[kind.len_utf8()..];
    let digits = match kind {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => 0,
    };
    if digits > 0 {
        let code = rest
            .get(..digits)
            .filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        text.push(
            char::from_u32(u32::from_str_radix(code, 16).ok()?)
                .unwrap_or(char::REPLACEMENT_CHARACTER),
        );
        return Some(&rest[digits..]);
    }
    text.push(match kind {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'v' => '\u{b}',
        '0' => '\0',
        '\\' | '\'' | '"' => kind,
        _ => return None,
    });
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_the_python_sdk_sends_is_read() {
        let cases = [
            (
                "{'k': 'v', 'n': 1, 'b': True, 'x': None}",
                r#"{"k": "v", "n": 1, "b": true, "x": null}"#,
            ),
            ("{}", "{}"),
            (r#"{"it's": "a \"b\""}"#, r#"{"it's": "a \"b\""}"#),
            (
                r"{'a': 'tab\t nul\x00 é\u20ac \U0001f600 \'q\' back\\'}",
                r#"{"a": "tab\t nul\u0000 é€ 😀 'q' back\\"}"#,
            ),
            (
                "{'t': (1, 2.5, -3e-07), 'one': (1,), 'p': (1), 'e': (), 'l': [[], ['a', ]]}",
                r#"{"t": [1, 2.5, -3e-07], "one": [1], "p": 1, "e": [], "l": [[], ["a"]]}"#,
            ),
            (
                "{1: 'a', True: 'b', None: 'c', 1.5: 'd'}",
                r#"{"1": "a", "true": "b", "null": "c", "1.5": "d"}"#,
            ),
            (
                "{'big': 123456789012345678901234567890}",
                r#"{"big": 123456789012345678901234567890}"#,
            ),
        ];
        for (python, json) in cases {
            assert_eq!(
                python_literal(python).map(|value| value.to_string()),
                Some(json.to_owned()),
                "{python}"
            );
        }
    }

    #[test]
    fn code_and_unfinished_text_are_refused() {
        for text in [
            "{'a': __import__('os')}",
            "{'a': 1",
            "{'a' 1}",
            "{1, 2}",
            "b'x'",
            "1 + 1",
            "{'a': nan}",
            "'a\nb'",
            "{'a': 1} x",
            "[1 2]",
            "1_000",
            "0x1f",
            "--1",
        ] {
            assert_eq!(python_literal(text), None, "{text}");
        }
        assert_eq!(python_literal(&"[".repeat(100_000)), None);
    }

    #[test]
    fn meta_is_always_an_object() {
        assert_eq!(meta_object("").as_str(), "{}");
        assert_eq!(meta_object(r#" {"a": NaN} "#).as_str(), r#"{"a": null}"#);
        assert_eq!(meta_object("[1]").as_str(), r#"{"raw":"[1]"}"#);
        assert_eq!(meta_object("hello").as_str(), r#"{"raw":"hello"}"#);
    }

    proptest! {
        #[test]
        fn any_text_gives_an_object(text in "[ -~\n\\\\'\"{}\\[\\]():,TrueFalsN0-9.eé]{0,60}") {
            prop_assert!(is_object(&meta_object(&text)));
        }
    }
}
