//! Where the secrets of a document stand.

use super::row::Table;
use crate::document::{Document, Property, Section, SectionKind, Span};
use crate::secrecy::{Secrecy, is_variable, masked};

/// Keeps diagnostics from showing the secrets of a document. `table` tells the keys of a section.
pub fn hide_secrets(document: &mut Document, table: &dyn Fn(&Section) -> Table) {
    let mut places = Vec::new();
    for section in &document.sections {
        find_secrets(section, table, &mut places);
    }
    places.into_iter().for_each(|place| document.hide(place));
}

fn find_secrets(section: &Section, table: &dyn Fn(&Section) -> Table, places: &mut Vec<Span>) {
    for Property { key, value } in &section.properties {
        let text = value.text.as_str();
        let secrecy = secrecy(section.kind, table(section), &key.text);
        if !is_variable(text) && masked(&key.text, secrecy, text, text, false) != text {
            places.push(value.span);
        }
    }
    section.children.iter().for_each(|child| find_secrets(child, table, places));
}

/// What of the text of a key must not be shown, in a section of this kind that takes these keys.
pub fn secrecy(kind: SectionKind, table: Table, key: &str) -> Secrecy {
    table.find(key).map_or_else(|| Secrecy::of_unknown(key, kind), |row| row.secrecy)
}
