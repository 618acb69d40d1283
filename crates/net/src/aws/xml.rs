//! What is needed of the XML that some of AWS's services answer: the texts of elements by their names, wherever they stand.

use std::borrow::Cow;

/// The text of the first element of this name.
pub fn element(xml: &str, name: &str) -> Option<String> {
    elements(xml, name).next().map(|text| unescaped(text).into_owned())
}

/// What stands in each element of this name, as it is written.
pub fn elements<'x>(xml: &'x str, name: &str) -> impl Iterator<Item = &'x str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let (_, behind) = rest.split_once(&open)?;
        let (text, behind) = behind.split_once(&close)?;
        rest = behind;
        Some(text)
    })
}

/// The text that is written so.
fn unescaped(text: &str) -> Cow<'_, str> {
    let mut parts = text.split('&');
    let first = parts.next().unwrap_or_default();
    let mut unescaped = Cow::Borrowed(first);
    for part in parts {
        let unescaped = unescaped.to_mut();
        match part.split_once(';').and_then(|(name, rest)| Some((letter(name)?, rest))) {
            Some((letter, rest)) => {
                unescaped.push(letter);
                unescaped.push_str(rest);
            }
            None => {
                unescaped.push('&');
                unescaped.push_str(part);
            }
        }
    }
    unescaped
}

/// The letter that is called so between `&` and `;`.
fn letter(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_element_is_found_wherever_it_stands() {
        let xml =
            "<?xml version=\"1.0\"?><a xmlns=\"x\"><b>1 &lt; 2 &amp; &#34;3&#x22;&c;</b><b></b><c>";
        assert_eq!(element(xml, "b").as_deref(), Some("1 < 2 & \"3\"&c;"));
        assert_eq!(elements(xml, "b").count(), 2);
        assert_eq!((element(xml, "c"), element(xml, "a")), (None, None));
    }
}
