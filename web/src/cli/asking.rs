//! Questions of pages to workers, over the bus.

use std::sync::OnceLock;

use shared::bus::panel::ServeBus;
use shared::live_read::{Ask, Told};

use crate::app::preview::{Saying, Workers};

/// Asks through dispatch, once this process is connected.
#[derive(Default)]
pub struct BusWorkers(OnceLock<ServeBus>);

impl BusWorkers {
    /// From now on questions are asked.
    pub fn connected(&self, bus: ServeBus) {
        // Connected once; the connection mends itself.
        let _ = self.0.set(bus);
    }
}

impl Workers for BusWorkers {
    fn ask(&self, ask: Ask) -> Saying<'_> {
        Box::pin(async move {
            match self.0.get()?.ask(&ask).await {
                Ok(Told::Answered { says }) => Some(says),
                Ok(Told::Silent) => None,
                Err(error) => {
                    tracing::warn!(error = %error, server.name = %ask.server, "a question could not be asked");
                    None
                }
            }
        })
    }
}
