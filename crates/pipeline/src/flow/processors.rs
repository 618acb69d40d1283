//! An output's processors: filters of its own, which each chunk passes through before it is delivered.

use std::sync::{Arc, Mutex, PoisonError};

use flb_event::{Chunk, ChunkBuilder, Tag};
use flb_plugin::{BoxFuture, Flush, Output, OutputError};

use super::lane::LaneFilter;

/// An output behind its processors. They get a copy of each chunk, and get it again when the chunk is tried again; other
/// outputs see nothing of it.
pub(crate) struct Processed {
    output: Box<dyn Output>,
    processors: Arc<Mutex<Vec<LaneFilter>>>,
}

impl Processed {
    /// `output` itself if there is nothing before it.
    pub(crate) fn wrap(output: Box<dyn Output>, processors: Vec<LaneFilter>) -> Box<dyn Output> {
        if processors.is_empty() {
            return output;
        }
        Box::new(Self { output, processors: Arc::new(Mutex::new(processors)) })
    }

    /// Runs the processors where they stand in nobody's way: they are no async code, and may take their time.
    async fn process(&self, mut chunk: Chunk) -> Result<Chunk, OutputError> {
        let processors = Arc::clone(&self.processors);
        let run = move || {
            let mut processors = processors.lock().unwrap_or_else(PoisonError::into_inner);
            for processor in processors.iter_mut() {
                if chunk.is_empty() {
                    break;
                }
                let tag = chunk.tag().clone();
                processor.apply(chunk);
                let mut passed: Vec<Chunk> = processor.outlet.take_passed().collect();
                // The chunk is delivered or not: nothing of it may wait for the next one.
                processor.release(true);
                passed.extend(processor.outlet.take_passed());
                chunk = joined(tag, passed)?;
            }
            Ok(chunk)
        };
        let processed = tokio::task::spawn_blocking(run).await;
        processed.map_err(|error| OutputError(format!("the processors were cut off: {error}")))?
    }
}

/// Chunks of one tag as one.
fn joined(tag: Tag, chunks: Vec<Chunk>) -> Result<Chunk, OutputError> {
    if let [only] = chunks.as_slice() {
        return Ok(only.clone());
    }
    let mut builder = ChunkBuilder::new(tag);
    let mut append = |chunk| builder.append(chunk).map_err(|error| OutputError(error.to_string()));
    chunks.iter().try_for_each(&mut append)?;
    Ok(builder.build())
}

impl Output for Processed {
    fn flush<'a>(&'a self, chunk: &'a Chunk) -> BoxFuture<'a, Flush> {
        Box::pin(async move {
            match self.process(chunk.clone()).await {
                // All records were dropped on purpose, and are counted by who dropped them.
                Ok(chunk) if chunk.is_empty() => Flush::Done,
                Ok(chunk) => match self.output.flush(&chunk).await {
                    // Nobody knows which records of the whole chunk these come of.
                    Flush::Rest { reason, after, .. } => Flush::Retry { reason, after },
                    fate => fate,
                },
                Err(error) => Flush::Fail(error),
            }
        })
    }

    fn attend(&self) -> BoxFuture<'_, ()> {
        self.output.attend()
    }

    fn finish(&self) -> BoxFuture<'_, ()> {
        self.output.finish()
    }
}
