//! Memory of chunks that have been worked off, for new ones: no page is asked of the system twice.

use crate::{Chunk, ChunkBuilder, Tag};

/// Chunks whose memory is used again once nobody else holds them.
#[derive(Debug)]
pub struct Spares {
    /// The oldest first.
    chunks: Vec<Chunk>,
    most: usize,
}

impl Spares {
    /// Keeps at most so many chunks.
    pub fn new(most: usize) -> Self {
        Self { chunks: Vec::new(), most }
    }

    /// Remembers a chunk that others still work on. The oldest is forgotten where there are enough.
    pub fn keep(&mut self, chunk: Chunk) {
        self.chunks.push(chunk);
        if self.chunks.len() > self.most {
            self.chunks.remove(0);
        }
    }

    /// Gives all memory back, but for what others still work on.
    pub fn forget(&mut self) {
        self.chunks.clear();
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// An empty builder for records of `tag`.
    pub fn builder(&mut self, tag: Tag) -> ChunkBuilder {
        match self.chunks.iter().position(Chunk::is_alone) {
            Some(at) => {
                let chunk = self.chunks.remove(at);
                ChunkBuilder::reuse(chunk, tag.clone()).unwrap_or_else(|| ChunkBuilder::new(tag))
            }
            None => ChunkBuilder::new(tag),
        }
    }
}
