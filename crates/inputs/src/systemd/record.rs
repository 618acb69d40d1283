//! The record of an entry: its fields in their order; one that is there several times is an array, at the place of its second
//! value.

use std::ops::Range;

use flb_event::msgpack;

/// How fields are named in records.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Names {
    pub(super) lowercase: bool,
    /// Without the underscore that a trusted field begins with.
    pub(super) strip_underscores: bool,
}

/// The fields of one entry. It is used again for the next one.
#[derive(Debug, Default)]
pub(super) struct Fields {
    names: Names,
    /// Names and values.
    text: Vec<u8>,
    fields: Vec<Field>,
}

/// Where a field's texts are.
#[derive(Debug)]
struct Field {
    name: Range<usize>,
    value: Range<usize>,
    more: Vec<Range<usize>>,
}

impl Fields {
    pub(super) fn new(names: Names) -> Self {
        Self { names, ..Self::default() }
    }

    /// Forgets the entry before.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.fields.clear();
    }

    /// Adds `NAME=value`; false if it is not of this form.
    pub(super) fn push(&mut self, field: &[u8]) -> bool {
        let Some(equals) = memchr::memchr(b'=', field) else { return false };
        let (mut name, value) = (&field[..equals], &field[equals + 1..]);
        if self.names.strip_underscores {
            name = name.strip_prefix(b"_").unwrap_or(name);
        }
        let name = self.keep(name);
        if self.names.lowercase {
            self.text[name.clone()].make_ascii_lowercase();
        }
        let value = self.keep(value);
        let same = |known: &Field| self.text[known.name.clone()] == self.text[name.clone()];
        match self.fields.iter().position(same) {
            None => self.fields.push(Field { name, value, more: Vec::new() }),
            Some(at) if self.fields[at].more.is_empty() => {
                let mut known = self.fields.remove(at);
                known.more.push(value);
                self.fields.push(known);
            }
            Some(at) => self.fields[at].more.push(value),
        }
        true
    }

    fn keep(&mut self, text: &[u8]) -> Range<usize> {
        let start = self.text.len();
        self.text.extend_from_slice(text);
        start..self.text.len()
    }

    /// Writes the record.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        msgpack::write_map_header(out, self.fields.len() as u32);
        for Field { name, value, more } in &self.fields {
            msgpack::write_str(out, &self.text[name.clone()]);
            if !more.is_empty() {
                msgpack::write_array_header(out, more.len() as u32 + 1);
            }
            for value in std::iter::once(value).chain(more) {
                msgpack::write_str(out, &self.text[value.clone()]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: Names, fields: &[&str], expected: &str) {
        let mut entry = Fields::new(names);
        entry.push(b"OF=another entry");
        entry.clear();
        assert!(fields.iter().all(|field| entry.push(field.as_bytes())));
        let mut record = Vec::new();
        entry.write(&mut record);
        assert_eq!(flb_harness::json_text(&record), expected);
    }

    #[test]
    fn fields_stand_in_their_order() {
        let fields = ["MESSAGE=a=b\nc", "_PID=1", "EMPTY="];
        check(Names::default(), &fields, r#"{"MESSAGE":"a=b\nc","_PID":"1","EMPTY":""}"#);
        check(Names::default(), &[], "{}");
    }

    #[test]
    fn names_may_be_in_lower_case_and_without_their_first_underscore() {
        let names = Names { lowercase: true, strip_underscores: true };
        check(names, &["_PID=1", "__X=Y", "A_B=C"], r#"{"pid":"1","_x":"Y","a_b":"C"}"#);
    }

    #[test]
    fn a_field_that_is_there_several_times_is_an_array() {
        let fields = ["A=1", "B=2", "A=3", "C=4", "A=5"];
        check(Names::default(), &fields, r#"{"B":"2","A":["1","3","5"],"C":"4"}"#);
        let names = Names { lowercase: false, strip_underscores: true };
        check(names, &["_A=1", "A=2"], r#"{"A":["1","2"]}"#);
    }

    #[test]
    fn what_has_no_name_is_no_field() {
        assert!(!Fields::default().push(b"nothing"));
    }
}
