//! Names and descriptions from what the author wrote anyway.

use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// The doc comment as one text: lines of a paragraph joined, paragraphs apart.
pub(crate) fn description(attributes: &[Attribute]) -> String {
    let mut text = String::new();
    let mut paragraph_ended = false;
    for line in attributes.iter().filter_map(doc_text) {
        for line in line.split('\n').map(str::trim) {
            if line.is_empty() {
                paragraph_ended = !text.is_empty();
                continue;
            }
            if !text.is_empty() {
                text.push_str(if paragraph_ended { "\n\n" } else { " " });
            }
            text.push_str(line);
            paragraph_ended = false;
        }
    }
    text
}

fn doc_text(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(meta) = &attribute.meta else {
        return None;
    };
    match &meta.value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) if meta.path.is_ident("doc") => Some(text.value()),
        _ => None,
    }
}

/// `resize_image` → `resize-image`
pub(crate) fn kebab_case(name: &str) -> String {
    words(name).collect::<Vec<_>>().join("-")
}

/// `resize_image` → `Resize Image`
pub(crate) fn title_case(name: &str) -> String {
    words(name).map(capitalized).collect::<Vec<_>>().join(" ")
}

fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split('_').filter(|word| !word.is_empty())
}

fn capitalized(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_function() {
        assert_eq!(kebab_case("resize_image"), "resize-image");
        assert_eq!(kebab_case("_echo_2"), "echo-2");
        assert_eq!(title_case("resize_image"), "Resize Image");
        assert_eq!(title_case("émile"), "Émile");
        assert_eq!(title_case("__"), "");
    }

    #[test]
    fn doc_lines_become_paragraphs() {
        let function: syn::ItemFn = syn::parse_quote! {
            ///
            /// One
            /// sentence.
            ///
            ///
            /// Another.
            #[inline]
            #[doc = include_str!("x")]
            fn f() {}
        };
        assert_eq!(description(&function.attrs), "One sentence.\n\nAnother.");
    }
}
