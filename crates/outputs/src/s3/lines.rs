//! Records as lines: each as JSON, or one of its values.

use flb_event::json::{JsonOptions, Printer};
use flb_event::msgpack::{MsgpackError, Reader, Value};
use flb_event::{Accessor, Chunk, Event};

use crate::json::RecordJson;

/// How records become lines.
#[derive(Debug)]
pub(super) enum Lines {
    Whole(RecordJson),
    OfKey(Accessor, JsonOptions),
}

/// Why a record is no line.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoLine {
    #[error(transparent)]
    Body(#[from] MsgpackError),
    #[error("it has no Log_Key")]
    NoKey,
}

impl Lines {
    /// The lines of a chunk; `left_out` is told why a record is none.
    pub(super) fn of(&self, chunk: &Chunk, mut left_out: impl FnMut(NoLine)) -> Vec<u8> {
        let mut printer = match self {
            Self::Whole(json) => json.printer(),
            Self::OfKey(_, options) => Printer::new(*options),
        };
        let mut lines = Vec::with_capacity(chunk.bytes().len() * 2);
        for event in chunk.records() {
            match self.write(event, &mut printer, &mut lines) {
                Ok(()) => lines.push(b'\n'),
                Err(why) => left_out(why),
            }
        }
        lines
    }

    fn write(
        &self,
        event: Event<'_>,
        printer: &mut Printer,
        out: &mut Vec<u8>,
    ) -> Result<(), NoLine> {
        match self {
            Self::Whole(json) => json.write(event, printer, out)?,
            Self::OfKey(key, _) => {
                let value = key.find(event.body).ok_or(NoLine::NoKey)?;
                match Reader::new(value).next()? {
                    Value::Str(text) => out.extend_from_slice(text),
                    _ => printer.print(value, out)?,
                }
            }
        }
        Ok(())
    }
}
