//! The wish to stop: spoken once by anybody, heard by everybody.

use std::sync::Arc;

use tokio::sync::watch;

/// Asks a pipeline to stop, and tells whether somebody did. Clones share one wish.
#[derive(Debug, Clone)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Default for Stop {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Stop {
    /// Asks to stop. Asking twice changes nothing.
    pub fn ask(&self) {
        self.0.send_replace(true);
    }

    /// Whether somebody asked.
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Completes when somebody asked, at once if it has happened already.
    pub async fn asked(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|asked| *asked).await;
    }
}
