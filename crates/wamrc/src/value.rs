//! What is known about an option's value: how it is read, and values that completions name.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command, Error};

use crate::usage::UsageError;

/// Reads a value, and names values for completions.
#[derive(Clone)]
pub(crate) struct Value<T> {
    pub(crate) read: fn(&str) -> Result<T, UsageError>,
    pub(crate) known: fn() -> Vec<&'static str>,
}

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Value<T> {
    type Value = T;

    fn parse_ref(
        &self,
        command: &Command,
        option: Option<&Arg>,
        value: &OsStr,
    ) -> Result<T, Error> {
        self.read.parse_ref(command, option, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new((self.known)().into_iter().map(PossibleValue::new)))
    }
}

/// A text that is looked at later, and names for completions.
pub(crate) fn text(known: fn() -> Vec<&'static str>) -> Value<String> {
    Value { read: |text| Ok(text.to_owned()), known }
}
