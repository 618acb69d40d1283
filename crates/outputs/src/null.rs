//! `null`: throws records away.

use flb_event::Chunk;
use flb_plugin::keys::{Key, Text};
use flb_plugin::{BoxFuture, Build, BuildError, Flush, Options, Output, Spec, Table, keys};

keys! {
    const KEYS;
    FORMAT: Option<Text> = Key::new("format", "").idle("nothing is written");
    JSON_DATE_KEY: Option<Text> = Key::new("json_date_key", "").idle("nothing is written");
    JSON_DATE_FORMAT: Option<Text> = Key::new("json_date_format", "").idle("nothing is written");
}

pub(super) const SPEC: Spec<dyn Output> =
    Spec { name: "null", about: "Throw records away", options: Table(&[KEYS]), build };

fn build(_: &Options, _: &Build<'_>) -> Result<Box<dyn Output>, BuildError> {
    Ok(Box::new(Null))
}

struct Null;

impl Output for Null {
    fn flush<'a>(&'a self, _: &'a Chunk) -> BoxFuture<'a, Flush> {
        Box::pin(std::future::ready(Flush::Done))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness as testing;

    #[test]
    fn every_chunk_is_done_whatever_the_format() {
        let output = testing::build(&SPEC, &[("format", "json"), ("json_date_key", "x")]).unwrap();
        let chunk = testing::chunk("t", &[(1, 0, "{}")]);
        assert!(matches!(testing::block_on(output.flush(&chunk)), Flush::Done));
    }
}
