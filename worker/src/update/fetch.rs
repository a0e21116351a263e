//! The package, from the panel. **What is kept is what was signed**: its SHA-256 is compared while it comes.

use std::path::Path;
use std::time::Duration;

use data_encoding::HEXLOWER;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use sha2::{Digest, Sha256};
use shared::jobs::WorkerSpec;
use shared::release::Release;
use tokio::io::AsyncWriteExt;

use crate::panel::{PanelError, connect};

/// Why the package could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The panel could not be talked to.
    #[error(transparent)]
    Panel(#[from] PanelError),
    /// The panel has no such file.
    #[error("the panel at {address} answered {status} for {file}")]
    Refused { address: String, status: hyper::StatusCode, file: String },
    /// It is too large.
    #[error("{0} is larger than any package of the worker")]
    TooLarge(String),
    /// It is another file than the one that was signed.
    #[error("{0} is not the file that was signed: its SHA-256 differs")]
    Changed(String),
    /// It could not be kept.
    #[error("could not keep {0}")]
    Disk(String, #[source] std::io::Error),
    /// It did not come in time.
    #[error("{0} did not come within ten minutes")]
    Slow(String),
    /// The panel has fallen silent.
    #[error("nothing came of {0} for half a minute")]
    Silent(String),
}

/// A package of 20 MiB over a line of 1 Mbit/s takes three minutes.
const LIMIT: Duration = Duration::from_mins(10);
/// Whoever is silent for so long is gone.
const SILENCE: Duration = Duration::from_secs(30);
/// A build for tests, which is not made small, has some 100 MiB.
const MOST: usize = 512 * 1024 * 1024;

/// Fetches the package to a file.
pub(crate) async fn fetch(spec: &WorkerSpec, release: Release<'_>, to: &Path) -> Result<(), FetchError> {
    match tokio::time::timeout(LIMIT, fetch_whole(spec, release, to)).await {
        Ok(fetched) => fetched,
        Err(_) => Err(FetchError::Slow(release.file())),
    }
}

async fn fetch_whole(spec: &WorkerSpec, release: Release<'_>, to: &Path) -> Result<(), FetchError> {
    let name = release.file();
    let (mut sender, panel) = heard(&name, connect::<Empty<Bytes>>(&spec.panel, &spec.fingerprint)).await??;
    let request = hyper::Request::get(format!("/join/packages/{name}"))
        .header("host", &panel.authority)
        .body(Empty::new())
        .map_err(PanelError::http)?;
    let response = heard(&name, sender.send_request(request)).await?.map_err(PanelError::http)?;
    if response.status() != hyper::StatusCode::OK {
        return Err(FetchError::Refused { address: panel.address, status: response.status(), file: name });
    }
    let disk = |error| FetchError::Disk(name.clone(), error);
    let mut file = tokio::fs::File::create(to).await.map_err(disk)?;
    let (mut body, mut hash, mut length) = (response.into_body(), Sha256::new(), 0);
    while let Some(frame) = heard(&name, body.frame()).await? {
        let Ok(chunk) = frame.map_err(PanelError::http)?.into_data() else { continue };
        length += chunk.len();
        if length > MOST {
            return Err(FetchError::TooLarge(name));
        }
        hash.update(&chunk);
        file.write_all(&chunk).await.map_err(disk)?;
    }
    file.sync_all().await.map_err(disk)?;
    if HEXLOWER.encode(&hash.finalize()) == release.sha256.as_str() { Ok(()) } else { Err(FetchError::Changed(name)) }
}

/// What comes of the panel, unless nothing does.
async fn heard<T>(name: &str, coming: impl Future<Output = T>) -> Result<T, FetchError> {
    tokio::time::timeout(SILENCE, coming).await.map_err(|_| FetchError::Silent(name.to_owned()))
}
