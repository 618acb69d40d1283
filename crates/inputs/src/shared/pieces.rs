//! Cuts a stream of bytes at a separator, however it was cut into reads.

/// Cuts a stream of bytes at a separator.
pub(crate) struct Pieces<'a> {
    separator: &'a [u8],
    limit: usize,
    partial: Vec<u8>,
    /// The rest of a piece is being skipped.
    skipping: bool,
}

impl<'a> Pieces<'a> {
    /// An empty stream whose pieces have at most `limit` bytes.
    pub(crate) fn new(separator: &'a [u8], limit: usize) -> Self {
        Self { separator, limit, partial: Vec::new(), skipping: false }
    }

    /// What has come in of the unfinished piece.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.partial
    }

    /// Gives each piece that `data` completes, or the limit that it is above.
    pub(crate) fn feed(&mut self, data: &[u8], each: &mut impl FnMut(Result<&[u8], usize>)) {
        // A separator may lie across two reads, so what is left is looked at again as far as its beginning can reach.
        let from = self.partial.len().saturating_sub(self.separator.len() - 1);
        self.partial.extend_from_slice(data);
        let (mut start, mut search) = (0, from);
        while let Some(found) = memchr::memmem::find(&self.partial[search..], self.separator) {
            let end = search + found;
            if !std::mem::take(&mut self.skipping) {
                each(Ok(&self.partial[start..end]));
            }
            start = end + self.separator.len();
            search = start;
        }
        self.partial.drain(..start);
        if self.partial.len() > self.limit && !std::mem::replace(&mut self.skipping, true) {
            each(Err(self.limit));
        }
        if self.skipping {
            let keep = self.partial.len().min(self.separator.len() - 1);
            self.partial.drain(..self.partial.len() - keep);
        }
    }

    /// The stream has ended: gives what it ended with as a last piece.
    pub(crate) fn finish(&mut self, each: &mut impl FnMut(Result<&[u8], usize>)) {
        if !self.skipping {
            each(Ok(&self.partial));
        }
        self.partial.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_separator_may_come_in_two_reads() {
        let mut found = Vec::new();
        let mut pieces = Pieces::new(b"<>", 100);
        for read in ["a<", ">b", "<>", "<<>c"] {
            pieces.feed(read.as_bytes(), &mut |piece| found.push(piece.unwrap().to_vec()));
        }
        pieces.finish(&mut |piece| found.push(piece.unwrap().to_vec()));
        assert_eq!(found, [b"a".as_slice(), b"b", b"<", b"c"]);
    }
}
