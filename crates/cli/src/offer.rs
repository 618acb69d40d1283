//! Names that completions offer for a value, whatever else the value may be.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command, Error};

/// A parser of values, and names for completions. The parser alone says what is right.
#[derive(Clone)]
pub struct Offer<P> {
    parser: P,
    names: Vec<PossibleValue>,
}

/// Offers these names for values that the parser reads.
pub fn offer<P>(parser: P, names: impl IntoIterator<Item = impl Into<PossibleValue>>) -> Offer<P> {
    Offer { parser, names: names.into_iter().map(Into::into).collect() }
}

impl<P: TypedValueParser> TypedValueParser for Offer<P> {
    type Value = P::Value;

    fn parse_ref(
        &self,
        command: &Command,
        option: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Self::Value, Error> {
        self.parser.parse_ref(command, option, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.names.iter().cloned()))
    }
}
