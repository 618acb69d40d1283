//! An input at work, and what its end means.

use std::sync::Arc;

use flb_plugin::{End, Input, InputError};
use tokio::task::JoinError;
use tracing::Instrument;

use super::context::InputContext;
use crate::books::InputRow;
use crate::panics::caught_async;

/// An input that has ended, and how.
pub(crate) struct Ended {
    row: Arc<InputRow>,
    /// Whether the agent waited for its end.
    was_awaited: bool,
    /// The outer error is a panic's message.
    how: Result<Result<End, InputError>, String>,
}

/// Lets the input work until it ends.
pub(crate) async fn run_input(input: Box<dyn Input>, context: InputContext) -> Ended {
    let row = Arc::clone(&context.row);
    let span = row.instance.span();
    let was_awaited = input.ends_agent();
    let how = caught_async(input.run(&context)).instrument(span).await;
    Ended { row, was_awaited, how }
}

/// What the end of an input means for the agent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Told {
    /// Whether the agent waited for it.
    pub(crate) was_awaited: bool,
    /// The agent shall stop, with this code.
    pub(crate) asks: Option<u8>,
}

/// Logs how an input ended, and tells whether it asks the agent to stop.
pub(crate) fn ended(joined: Result<Ended, JoinError>) -> Told {
    let Ended { row, was_awaited, how } = match joined {
        Ok(ended) => ended,
        Err(error) => {
            if !error.is_cancelled() {
                tracing::error!("[engine] an input was cut off: {error}");
            }
            return Told::default();
        }
    };
    let span = row.instance.span();
    let _entered = span.enter();
    match how {
        Ok(Ok(End::Quiet)) => tracing::debug!("nothing more to read"),
        Ok(Ok(End::StopAgent { code })) => {
            tracing::debug!("nothing more to read, the agent stops with the last such input");
            return Told { was_awaited, asks: Some(code) };
        }
        Ok(Err(error)) => {
            row.failures.add(1);
            tracing::error!("{error}; the input has ended");
        }
        Err(panic) => {
            row.failures.add(1);
            tracing::error!("the input panicked and has ended: {panic}");
        }
    }
    Told { was_awaited, asks: None }
}
