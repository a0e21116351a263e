//! The static files, embedded. Each has an address with a fingerprint of its content, so browsers may keep it for ever.

use std::fmt;

use maud::Render;

use crate::paths;

/// One static file.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    stem: &'static str,
    extension: &'static str,
    /// Its content.
    pub bytes: &'static [u8],
    /// Its media type.
    pub content_type: &'static str,
    fingerprint: u64,
}

/// FNV-1a: it only has to differ when the content differs, nobody is kept out by it.
const fn fingerprint(bytes: &[u8]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

macro_rules! asset {
    ($(#[$doc:meta])* $name:ident, $file:literal, $stem:literal . $extension:literal, $content_type:literal) => {
        $(#[$doc])*
        pub const $name: Asset = {
            const BYTES: &[u8] = include_bytes!(concat!("../../../static/", $file));
            const FINGERPRINT: u64 = fingerprint(BYTES);
            Asset { stem: $stem, extension: $extension, bytes: BYTES, content_type: $content_type, fingerprint: FINGERPRINT }
        };
    };
}

asset!(
    /// The stylesheet.
    CSS, "app.css", "app"."css", "text/css; charset=utf-8"
);
asset!(
    /// Our own behaviours.
    JS, "app.js", "app"."js", "text/javascript; charset=utf-8"
);
asset!(
    /// htmx.
    HTMX, "vendor/htmx.min.js", "htmx"."js", "text/javascript; charset=utf-8"
);
asset!(
    /// htmx's extension for server-sent events.
    HTMX_SSE, "vendor/hx-sse.min.js", "hx-sse"."js", "text/javascript; charset=utf-8"
);
asset!(
    /// The icons, one `<symbol>` each.
    ICONS, "icons.svg", "icons"."svg", "image/svg+xml"
);
asset!(
    /// The mark in the browser's tab.
    FAVICON, "favicon.svg", "favicon"."svg", "image/svg+xml"
);

/// All static files.
pub const ALL: [Asset; 6] = [CSS, JS, HTMX, HTMX_SSE, ICONS, FAVICON];

impl Asset {
    /// The fingerprinted file name, such as `app.0123456789abcdef.css`.
    #[must_use]
    pub fn file_name(&self) -> String {
        self.to_string()
    }

    /// The address.
    #[must_use]
    pub fn url(&self) -> String {
        paths::static_file(&self.file_name())
    }

    /// The file of this fingerprinted name.
    #[must_use]
    pub fn by_file_name(name: &str) -> Option<Self> {
        ALL.into_iter().find(|asset| asset.file_name() == name)
    }
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:016x}.{}", self.stem, self.fingerprint, self.extension)
    }
}

impl Render for Asset {
    fn render_to(&self, buffer: &mut String) {
        buffer.push_str(&self.url());
    }
}
