//! The members of a JSON object as the file has them, with what comes twice.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// All members, in their order.
#[derive(Debug)]
pub(super) struct InOrder<T>(pub(super) Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for InOrder<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(PhantomData))
    }
}

struct Members<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
    type Value = InOrder<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(member) = members.next_entry()? {
            all.push(member);
        }
        Ok(InOrder(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_members_come_in_their_order() {
        let read: InOrder<u8> = serde_json::from_str(r#"{"z": 1, "a": 2, "z": 3}"#).unwrap();
        let expected = [("z", 1), ("a", 2), ("z", 3)];
        assert_eq!(
            read.0,
            expected.map(|(name, value)| (name.to_owned(), value))
        );
        let list = serde_json::from_str::<InOrder<u8>>("[1]").unwrap_err();
        assert!(list.to_string().contains("a JSON object"), "{list}");
    }
}
