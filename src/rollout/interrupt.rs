//! Ctrl-C and SIGTERM: once, to stop between two writes; twice, to stop at once.

use tokio::sync::watch;

/// Whether someone wants the run to stop.
#[derive(Debug, Clone)]
pub struct Interrupt(watch::Receiver<u8>);

impl Interrupt {
    /// Nobody ever does.
    #[must_use]
    pub fn never() -> Self {
        Self(watch::channel(0).1)
    }

    /// Hears the signals of the process. Needs a runtime.
    ///
    /// # Errors
    /// If signals cannot be heard.
    pub fn of_signals() -> std::io::Result<Self> {
        let (wishes, wish) = watch::channel(0u8);
        #[cfg(unix)]
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::spawn(async move {
            loop {
                #[cfg(unix)]
                let heard = tokio::select! {
                    heard = tokio::signal::ctrl_c() => heard.is_ok(),
                    heard = terminate.recv() => heard.is_some(),
                };
                #[cfg(not(unix))]
                let heard = tokio::signal::ctrl_c().await.is_ok();
                if !heard {
                    return;
                }
                wishes.send_modify(|count| *count = count.saturating_add(1));
            }
        });
        Ok(Self(wish))
    }

    /// Whether to stop at the next opportunity.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// Waits until someone wants it.
    pub async fn wanted(&self) {
        self.times(1).await;
    }

    /// Waits until someone wants it at once: what is under way is dropped, as if the process were killed.
    pub async fn insisted(&self) {
        self.times(2).await;
    }

    async fn times(&self, times: u8) {
        let mut wish = self.0.clone();
        if wish.wait_for(|count| *count >= times).await.is_err() {
            // Whoever could wish is gone.
            std::future::pending::<()>().await;
        }
    }
}
