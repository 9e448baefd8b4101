//! Names and descriptions from what the author wrote anyway.

use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// The doc comment as one text: lines of a paragraph joined, paragraphs apart.
pub(crate) fn description(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(doc_text).collect::<Vec<_>>();
    let lines = lines
        .iter()
        .flat_map(|text| text.split('\n').map(str::trim));
    let mut paragraphs = vec![Vec::new()];
    for line in lines {
        match paragraphs.last_mut() {
            Some(paragraph) if !line.is_empty() => paragraph.push(line),
            _ => paragraphs.push(Vec::new()),
        }
    }
    let paragraphs = paragraphs.iter().filter(|lines| !lines.is_empty());
    paragraphs
        .map(|lines| lines.join(" "))
        .collect::<Vec<_>>()
        .join("\n\n")
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

/// `OrderBook` → `order-book`, `HTTPGateway` → `http-gateway`
pub(crate) fn kebab_case(name: &str) -> String {
    let characters: Vec<char> = name.chars().collect();
    let mut kebab = String::new();
    for (i, character) in characters.iter().enumerate() {
        let after_word = i > 0 && !characters[i - 1].is_uppercase() && characters[i - 1] != '_';
        let before_word = i > 0
            && characters
                .get(i + 1)
                .is_some_and(|next| next.is_lowercase());
        if character.is_uppercase() && (after_word || before_word) && !kebab.ends_with('-') {
            kebab.push('-');
        }
        match character {
            '_' => kebab.push('-'),
            other => kebab.extend(other.to_lowercase()),
        }
    }
    kebab
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_type() {
        for (name, kebab) in [
            ("Calculator", "calculator"),
            ("OrderBook", "order-book"),
            ("HTTPGateway", "http-gateway"),
            ("Node2Service", "node2-service"),
            ("snake_case", "snake-case"),
            ("Mixed_Case", "mixed-case"),
            ("ABC", "abc"),
        ] {
            assert_eq!(kebab_case(name), kebab);
        }
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
