//! The scanner against `serde_json`, and its promises on any text.

#![expect(clippy::expect_used, reason = "helpers of tests fail by panicking")]

use nodewire_json::{Json, Kind, MAX_DEPTH, Reader, ScanError, ScanErrorKind, members};
use proptest::prelude::*;
use serde_json::Value;

/// Values, written with random white space.
fn strict_text() -> impl Strategy<Value = String> {
    let space = "[ \n\r\t]{0,2}";
    let leaf = prop_oneof![
        prop_oneof![Just("null"), Just("true"), Just("false")].prop_map(str::to_owned),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?",
        any::<String>().prop_map(|text| Value::from(text).to_string()),
        r#""(\\u00[0-9a-fA-F]{2}|\\ud83d\\ude0[0-9a-f]|\\["\\/bfnrt]|[a-z]){0,6}""#,
    ];
    let spaced =
        (space, leaf, space).prop_map(|(before, leaf, after)| format!("{before}{leaf}{after}"));
    spaced.prop_recursive(4, 24, 4, move |inner| {
        let member = (space, any::<String>(), space, inner.clone()).prop_map(
            |(before, key, after, value)| format!("{before}{}{after}:{value}", Value::from(key)),
        );
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(member, 0..4)
                .prop_map(|items| format!("{{{}}}", items.join(","))),
        ]
    })
}

/// What Python writes: standard JSON with other tokens among it.
fn tolerated_text() -> impl Strategy<Value = (String, bool)> {
    let token = prop_oneof![
        Just("NaN"),
        Just("Infinity"),
        Just("-Infinity"),
        Just(r#""a\ud800""#),
        Just(r#""\udc00\ud800""#),
        Just(r#""\ud800\u0041 -Infinity""#),
    ];
    (strict_text(), prop::option::of(token), strict_text()).prop_map(|(before, token, after)| {
        match token {
            Some(token) => (format!("[{before},{{\"x\": {token}}},{after}]"), false),
            None => (format!("[{before}, {after}]"), true),
        }
    })
}

/// Nearly JSON: pieces of it in any order.
fn nearly_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop_oneof![
            Just("{"),
            Just("}"),
            Just("["),
            Just("]"),
            Just(","),
            Just(":"),
            Just("\""),
            Just("\\"),
            Just("\\u"),
            Just("d800"),
            Just("-"),
            Just("."),
            Just("e"),
            Just("0"),
            Just("12"),
            Just("nul"),
            Just("true"),
            Just(" "),
            Just("\"a\""),
            Just("\"a\":"),
            Just("\u{1}"),
            Just("é"),
        ]
        .prop_map(str::to_owned),
        strict_text(),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).expect("standard JSON")
}

proptest! {
    #[test]
    fn standard_json_is_accepted_and_strict(text in strict_text()) {
        let json = Json::parse(text.as_str())?;
        prop_assert!(json.is_strict());
        prop_assert_eq!(json.as_str(), text.trim_matches([' ', '\n', '\r', '\t']));
        prop_assert_eq!(&json.to_strict(), &json);
        prop_assert_eq!(Json::parse_bytes(text.into_bytes())?, json);
    }

    #[test]
    fn what_serde_json_refuses_is_refused_unless_python_writes_it(text in nearly_text()) {
        match Json::parse(text.as_str()) {
            // Lone surrogates: serde_json skips them unread, and so cannot tell.
            Ok(json) => prop_assert!(is_json(&text) || !json.is_strict()),
            Err(error) => {
                prop_assert!(error.offset <= text.len());
                prop_assert!(!is_json(&text), "{}: {}", error, text);
            }
        }
    }

    #[test]
    fn strictness_is_exact_and_can_be_made((text, strict) in tolerated_text()) {
        let json = Json::parse(text)?;
        prop_assert_eq!(json.is_strict(), strict);
        let made = json.to_strict();
        prop_assert!(Json::parse(made.as_str())?.is_strict());
        prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(made.as_str()).is_ok(), "{}", made);
        prop_assert!(!strict || made == json);
        // Idempotent, and what serde writes is the same.
        prop_assert_eq!(&made.to_strict(), &made);
        prop_assert_eq!(serde_json::to_string(&json)?, made.as_str());
    }

    #[test]
    fn slices_are_the_values_they_stand_for(text in strict_text()) {
        let json = Json::parse(text.as_str())?;
        let Ok(decoded) = serde_json::from_str::<Value>(&text) else { return Ok(()) };
        match json.kind() {
            Kind::Array => {
                let elements = json.elements().expect("an array");
                let values: Vec<_> = elements.iter().map(|element| value(element.as_str())).collect();
                prop_assert_eq!(Value::from(values), decoded);
                let again = Json::array(&elements);
                prop_assert_eq!(value(again.as_str()), value(json.as_str()));
                prop_assert!(json.entries().is_none() && json.get("x").is_none());
            }
            Kind::Object => {
                let entries = json.entries().expect("an object");
                for (key, _) in &entries {
                    let got = json.get(key).expect("it is there");
                    prop_assert_eq!(value(got.as_str()), decoded[key].clone());
                }
                let map: serde_json::Map<_, _> =
                    entries.into_iter().map(|(key, entry)| (key, value(entry.as_str()))).collect();
                prop_assert_eq!(Value::from(map), decoded);
                prop_assert!(json.elements().is_none());
            }
            Kind::Null | Kind::Bool | Kind::Number | Kind::String => {
                prop_assert!(json.elements().is_none() && json.entries().is_none() && json.get("x").is_none());
            }
        }
    }

    #[test]
    fn cut_text_is_refused_as_too_short(text in strict_text(), at: prop::sample::Index) {
        let text = text.trim();
        prop_assume!(text.starts_with(['[', '{', '"']));
        let at = (1..text.len()).nth(at.index(text.len() - 1)).unwrap_or(1);
        prop_assume!(text.is_char_boundary(at));
        let error = Json::parse(&text[..at]).expect_err("it is cut");
        prop_assert_eq!(error.kind, ScanErrorKind::UnexpectedEnd);
    }

    #[test]
    fn flipped_bits_do_not_panic((text, _) in tolerated_text(), at: prop::sample::Index, bit in 0..8_u32) {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(json) = Json::parse_bytes(bytes) {
            exercise(&json);
        }
    }

    #[test]
    fn any_text_is_scanned_without_a_panic(text: String) {
        for member in members(&text) {
            let _ = member.map(|member| member.key().into_owned());
        }
        if let Ok(json) = Json::parse(text) {
            exercise(&json);
        }
    }

    #[test]
    fn a_reader_that_skips_everything_has_checked_everything(text in nearly_text()) {
        let mut reader = Reader::new(&text);
        let read = reader.value().map(|value| value.as_str().to_owned());
        let read = read.and_then(|value| reader.end().map(|()| value));
        let parsed = Json::parse(text.as_str());
        prop_assert_eq!(read.as_deref(), parsed.as_ref().map(Json::as_str));
        let mut reader = Reader::new(&text);
        let passed = reader.object(|_, _| Ok(())).and_then(|_| reader.end());
        prop_assert_eq!(passed.is_ok(), parsed.is_ok_and(|json| json.kind() == Kind::Object));
    }

    #[test]
    fn a_reader_finds_the_same_as_slicing((text, _) in tolerated_text(), take: Vec<bool>) {
        let json = Json::parse(text)?;
        let mut found = Vec::new();
        let mut reader = Reader::new(json.as_str());
        let mut take = take.iter().copied().cycle();
        let whole = walk(&mut reader, &mut || take.next().unwrap_or(true), &mut found)?;
        reader.end()?;
        prop_assert_eq!((whole.0.as_str(), whole.1), (json.as_str(), json.is_strict()));
        for (text, strict) in found {
            let value = Json::parse(text)?;
            prop_assert_eq!(value.is_strict(), strict, "{}", value);
        }
    }

    #[test]
    fn numbers_keep_their_text(number in "-?(0|[1-9][0-9]{0,60})(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?") {
        let json = Json::parse(format!(" [{number}, 1] "))?;
        let elements = json.elements().expect("an array");
        prop_assert_eq!(elements[0].as_str(), number);
    }
}

/// Goes into arrays and objects, takes or leaves the values in them, and notes what it took.
fn walk(
    reader: &mut Reader<'_>,
    take: &mut dyn FnMut() -> bool,
    found: &mut Vec<(String, bool)>,
) -> Result<(String, bool), ScanError> {
    let value = if reader.at_array() {
        reader.array(|reader| {
            if take() {
                walk(reader, take, found).map(drop)
            } else {
                Ok(())
            }
        })?
    } else if reader.at_object() {
        reader.object(|_, reader| {
            if take() {
                walk(reader, take, found).map(drop)
            } else {
                Ok(())
            }
        })?
    } else {
        reader.value()?
    };
    let value = (value.as_str().to_owned(), value.is_strict());
    found.push(value.clone());
    Ok(value)
}

fn exercise(json: &Json) {
    let _ = (
        json.elements(),
        json.get("x"),
        json.to_strict(),
        json.decode::<f64>(),
    );
    for (key, _) in json.entries().unwrap_or_default() {
        assert!(json.get(&key).is_some());
    }
}

#[test]
fn depth_is_limited() {
    let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
    Json::parse(nested(MAX_DEPTH)).expect("as deep as allowed");
    for depth in [MAX_DEPTH + 1, 1_000_000] {
        let error = Json::parse(nested(depth)).expect_err("too deep");
        assert_eq!(error.kind, ScanErrorKind::TooDeep);
    }
    let objects = "{\"a\":".repeat(MAX_DEPTH + 1);
    assert_eq!(
        Json::parse(objects).expect_err("too deep").kind,
        ScanErrorKind::TooDeep
    );
}

#[test]
fn of_duplicate_keys_the_last_is_got_and_all_are_listed() {
    let json = Json::parse(r#"{"a": 1, "\u0061": 2}"#).expect("well-formed");
    assert_eq!(json.get("a").expect("there").as_str(), "2");
    assert_eq!(json.entries().expect("an object").len(), 2);
}
