//! The Forward protocol: what its input and its output share.

pub(crate) mod decode;
pub(crate) mod handshake;
#[cfg(test)]
mod oracle;

#[cfg(test)]
mod tests {
    #[test]
    fn forward_messages_of_the_corpus_are_handled() {
        crate::testing::replay("forward", super::oracle::check);
    }
}
