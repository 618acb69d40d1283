//! The Forward protocol: what its input and its output share.

pub mod decode;
pub mod handshake;
#[cfg(test)]
mod oracle;

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn forward_messages_of_the_corpus_are_handled() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
        flb_testkit::replay(&corpus.join("forward"), super::oracle::check);
    }
}
