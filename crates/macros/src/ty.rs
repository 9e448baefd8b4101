//! What a Rust type says about its port: how many values, whether it may be left out, what kind.

use syn::{GenericArgument, PathArguments, Type, TypePath, parse_quote};

/// A type taken apart into `Option<…>`, `Vec<…>` and the type of one value.
pub(crate) struct PortType {
    pub(crate) optional: bool,
    pub(crate) shape: Shape,
    /// The type of one value.
    pub(crate) element: Type,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `T`
    One,
    /// `Vec<T>`
    List,
    /// `PortValue`
    Whole,
}

impl PortType {
    pub(crate) fn of(ty: &Type) -> Self {
        let inner = argument_of(ty, "Option");
        let optional = inner.is_some();
        let ty = inner.unwrap_or(ty);
        let (shape, element) = match argument_of(ty, "Vec") {
            Some(element) => (Shape::List, element),
            None if is_named(ty, "PortValue") => (Shape::Whole, ty),
            None => (Shape::One, ty),
        };
        Self {
            optional,
            shape,
            element: element.clone(),
        }
    }

    /// The method of `Arguments` and `OutputsWriter` for this shape.
    pub(crate) fn method(&self) -> &'static str {
        match (self.optional, self.shape) {
            (false, Shape::One) => "one",
            (true, Shape::One) => "optional",
            (false, Shape::List) => "list",
            (true, Shape::List) => "optional_list",
            (false, Shape::Whole) => "whole",
            (true, Shape::Whole) => "optional_whole",
        }
    }

    pub(crate) fn is_byte_list(&self) -> bool {
        self.shape == Shape::List && is_named(&self.element, "u8")
    }
}

/// The port kind of one value of this type.
pub(crate) fn kind_of(ty: &Type) -> &'static str {
    let Some(name) = name_of(ty) else {
        return match ty {
            Type::Array(_) | Type::Slice(_) | Type::Tuple(_) => "array",
            _ => "object",
        };
    };
    match name.as_str() {
        "String" | "str" | "char" | "PathBuf" => "string",
        "bool" => "boolean",
        "Bytes" => "bytes",
        "AssetRef" => "asset",
        "Json" | "Value" | "PortValue" => "any",
        "Vec" | "VecDeque" | "HashSet" | "BTreeSet" => "array",
        "Option" | "Box" | "Arc" | "Rc" | "Cow" => last_argument(ty).map_or("object", kind_of),
        other if is_number(other) => "number",
        _ => "object",
    }
}

fn is_number(name: &str) -> bool {
    is_integer_name(name) || matches!(name, "f32" | "f64")
}

const SIGNED: [&str; 6] = ["i8", "i16", "i32", "i64", "i128", "isize"];
const UNSIGNED: [&str; 6] = ["u8", "u16", "u32", "u64", "u128", "usize"];

fn is_integer_name(name: &str) -> bool {
    SIGNED.contains(&name) || UNSIGNED.contains(&name)
}

/// Whether the type, or what an `Option` of it holds, is a primitive integer.
pub(crate) fn is_integer(ty: &Type) -> bool {
    name_of(argument_of(ty, "Option").unwrap_or(ty)).is_some_and(|name| is_integer_name(&name))
}

/// Whether the type, or what an `Option` of it holds, is a primitive unsigned integer.
pub(crate) fn is_unsigned(ty: &Type) -> bool {
    name_of(argument_of(ty, "Option").unwrap_or(ty))
        .is_some_and(|name| UNSIGNED.contains(&name.as_str()))
}

pub(crate) fn is_option(ty: &Type) -> bool {
    argument_of(ty, "Option").is_some()
}

/// The type that is decoded where a function takes `ty`, and whether it takes a reference to it.
pub(crate) fn owned(ty: &Type) -> (Type, bool) {
    let Type::Reference(reference) = ty else {
        return (ty.clone(), false);
    };
    let owned = match &*reference.elem {
        Type::Slice(slice) => {
            let element = &slice.elem;
            parse_quote!(::std::vec::Vec<#element>)
        }
        target if is_named(target, "str") => parse_quote!(::std::string::String),
        target => target.clone(),
    };
    (owned, true)
}

/// A reference somewhere inside, which nothing can be decoded into.
pub(crate) fn inner_reference(ty: &Type) -> Option<&Type> {
    match ty {
        Type::Reference(_) => Some(ty),
        Type::Tuple(tuple) => tuple.elems.iter().find_map(inner_reference),
        Type::Array(array) => inner_reference(&array.elem),
        _ => arguments(ty).find_map(inner_reference),
    }
}

pub(crate) fn is_named(ty: &Type, name: &str) -> bool {
    name_of(ty).is_some_and(|found| found == name)
}

/// The `T` of `name<T>`.
pub(crate) fn argument_of<'a>(ty: &'a Type, name: &str) -> Option<&'a Type> {
    let mut arguments = arguments(ty);
    let first = arguments.next().filter(|_| is_named(ty, name));
    first.filter(|_| arguments.next().is_none())
}

/// The `T` of `Result<T, …>`, or the type itself.
pub(crate) fn success(ty: &Type) -> &Type {
    if is_named(ty, "Result") {
        arguments(ty).next().unwrap_or(ty)
    } else {
        ty
    }
}

fn last_argument(ty: &Type) -> Option<&Type> {
    arguments(ty).last()
}

fn arguments(ty: &Type) -> impl Iterator<Item = &Type> {
    let segment = path_of(ty).and_then(|path| path.path.segments.last());
    let arguments = segment.and_then(|segment| match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => Some(&arguments.args),
        PathArguments::None | PathArguments::Parenthesized(_) => None,
    });
    arguments
        .into_iter()
        .flatten()
        .filter_map(|argument| match argument {
            GenericArgument::Type(ty) => Some(ty),
            _ => None,
        })
}

fn name_of(ty: &Type) -> Option<String> {
    path_of(ty)?
        .path
        .segments
        .last()
        .map(|segment| segment.ident.to_string())
}

fn path_of(ty: &Type) -> Option<&TypePath> {
    match ty {
        Type::Path(path) => Some(path),
        Type::Group(group) => path_of(&group.elem),
        Type::Paren(paren) => path_of(&paren.elem),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_follow_the_type() {
        let kinds: [(Type, &str); 14] = [
            (parse_quote!(String), "string"),
            (parse_quote!(std::sync::Arc<str>), "string"),
            (parse_quote!(Cow<'static, str>), "string"),
            (parse_quote!(u8), "number"),
            (parse_quote!(f32), "number"),
            (parse_quote!(bool), "boolean"),
            (parse_quote!(bytes::Bytes), "bytes"),
            (parse_quote!(AssetRef), "asset"),
            (parse_quote!(Json), "any"),
            (parse_quote!(serde_json::Value), "any"),
            (parse_quote!(Option<f64>), "number"),
            (parse_quote!(Vec<f64>), "array"),
            (parse_quote!((f64, f64)), "array"),
            (parse_quote!(HashMap<String, f64>), "object"),
        ];
        for (ty, kind) in kinds {
            assert_eq!(kind_of(&ty), kind, "{ty:?}");
        }
    }

    #[test]
    fn shapes_follow_the_type() {
        let shapes: [(Type, &str); 7] = [
            (parse_quote!(String), "one"),
            (parse_quote!(Option<String>), "optional"),
            (parse_quote!(Vec<String>), "list"),
            (parse_quote!(Option<Vec<String>>), "optional_list"),
            (parse_quote!(nodewire::PortValue), "whole"),
            (parse_quote!(Option<PortValue>), "optional_whole"),
            (parse_quote!(Vec<Option<String>>), "list"),
        ];
        for (ty, method) in shapes {
            assert_eq!(PortType::of(&ty).method(), method, "{ty:?}");
        }
    }

    #[test]
    fn references_are_decoded_as_what_owns_them() {
        let text = owned(&parse_quote!(&str));
        assert_eq!(text, (parse_quote!(::std::string::String), true));
        assert_eq!(
            owned(&parse_quote!(&[u32])),
            (parse_quote!(::std::vec::Vec<u32>), true)
        );
        assert_eq!(owned(&parse_quote!(u32)), (parse_quote!(u32), false));
        assert!(inner_reference(&parse_quote!(Option<Vec<&str>>)).is_some());
        assert!(inner_reference(&parse_quote!(Option<Vec<u8>>)).is_none());
    }

    #[test]
    fn a_result_is_looked_into() {
        assert_eq!(
            success(&parse_quote!(anyhow::Result<u8>)),
            &parse_quote!(u8)
        );
        assert_eq!(success(&parse_quote!(Result<u8, E>)), &parse_quote!(u8));
        assert_eq!(success(&parse_quote!(Texts)), &parse_quote!(Texts));
    }
}
