//! Static files as they are sent: under a name that changes with their content, kept by browsers for ever, compressed
//! once at start.

use std::collections::HashMap;
use std::io::Write as _;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::views::assets::ALL;

/// A year, as long as HTTP caches take seriously; the name changes with the content.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

struct File {
    content_type: &'static str,
    plain: Bytes,
    brotli: Bytes,
}

/// All static files by their fingerprinted name.
pub struct Assets(HashMap<String, File>);

impl Default for Assets {
    fn default() -> Self {
        Self::new()
    }
}

impl Assets {
    /// Compresses all files.
    #[must_use]
    pub fn new() -> Self {
        let file = |asset: &crate::views::assets::Asset| File {
            content_type: asset.content_type,
            plain: Bytes::from_static(asset.bytes),
            brotli: Bytes::from(brotli(asset.bytes)),
        };
        Self(ALL.iter().map(|asset| (asset.file_name(), file(asset))).collect())
    }

    /// The answer to a request for a file; `None` if there is none of this name.
    #[must_use]
    pub fn answer(&self, name: &str, request: &HeaderMap) -> Option<Response> {
        let file = self.0.get(name)?;
        let takes_brotli = request
            .get(header::ACCEPT_ENCODING)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.split(',').any(|coding| coding.split(';').next().is_some_and(|name| name.trim() == "br")));
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(FOR_EVER));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        let body = if takes_brotli && !file.brotli.is_empty() {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
            file.brotli.clone()
        } else {
            // Others are compressed on the way, as pages are.
            file.plain.clone()
        };
        Some((StatusCode::OK, headers, body).into_response())
    }
}

/// Empty if the file cannot be compressed; then it is sent as it is.
fn brotli(bytes: &[u8]) -> Vec<u8> {
    // Quality 9 of 11: a tenth of the time for nearly the same size. Window 2^22, brotli's usual.
    let mut writer = brotli::CompressorWriter::new(Vec::new(), 4096, 9, 22);
    if writer.write_all(bytes).and_then(|()| writer.flush()).is_err() {
        return Vec::new();
    }
    writer.into_inner()
}
