//! The first start of a worker that was installed by hand: it joins with what `config.env` says, before it runs.

use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::config::Identity;
use crate::enrol::{EnrolError, EnrolOptions, Enrolment};

/// Why a worker without an identity does not start.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The panel refused, or what `config.env` says cannot be used. Starting again changes nothing.
    #[error("this worker cannot join a panel with what /etc/gantry-worker/config.env says")]
    Refused(#[source] EnrolError),
}

/// A panel that is away is asked again after so long.
const PAUSE: Duration = Duration::from_secs(5);

/// Joins, however long the panel is away, and keeps the identity. `None` if the worker is to stop meanwhile.
///
/// # Errors
/// See [`JoinError`].
pub async fn join(options: EnrolOptions, state_dir: &Path, shutdown: &CancellationToken) -> Result<Option<Identity>, JoinError> {
    let panel = options.panel.clone();
    tracing::info!(panel, "this worker has no identity yet; joining");
    // A panel that is away is no reason for systemd to give up on the start.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready, sd_notify::NotifyState::Status(&format!("joining {panel}"))]);
    let enrolment = Enrolment::new(options, state_dir).map_err(JoinError::Refused)?;
    let mut reported = String::new();
    loop {
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
        let asked = tokio::select! {
            asked = enrolment.ask() => asked,
            () = shutdown.cancelled() => return Ok(None),
        };
        match asked {
            Ok(Some(identity)) => {
                tracing::info!(server.name = %identity.server, "this worker has joined");
                return Ok(Some(identity));
            }
            Ok(None) => continue,
            Err(error) if error.is_final() => return Err(JoinError::Refused(error)),
            Err(error) => {
                let text = error.to_string();
                if text != reported {
                    tracing::warn!(error = text, "not joined yet; trying again every few seconds");
                    reported = text;
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = shutdown.cancelled() => return Ok(None),
        }
    }
}
