//! The pages and scripts that Gantry itself puts on a host.

use shared::names::DomainName;

/// Answers the worker's question who serves a site. Installed outside every cell, root's.
pub const PROBE_SCRIPT: &str = r#"<?php
// Answers Gantry's worker: which generation of the site this is, and who runs its PHP.
header('Content-Type: application/json');
header('Cache-Control: no-store');
$status = function_exists('posix_geteuid') ? posix_geteuid() : -1;
echo json_encode(['generation' => (int) ($_SERVER['GANTRY_GENERATION'] ?? 0), 'uid' => $status]);
"#;

const STYLE: &str = "body{margin:0;min-height:100vh;display:grid;place-items:center;font:18px/1.6 system-ui,sans-serif;color:#1d2733;background:#f4f6f8}main{max-width:34rem;padding:2rem;text-align:center}h1{font-size:1.6rem;margin:0 0 .5rem}p{margin:.5rem 0;color:#4a5866}@media(prefers-color-scheme:dark){body{color:#e8edf2;background:#14191f}p{color:#a7b3bf}}";

/// What a new site shows until its owner puts something there.
#[must_use]
pub fn placeholder(domain: &DomainName) -> String {
    // A domain has no character that means anything in HTML or PHP.
    page(
        domain.as_str(),
        &format!(
            "<h1>{domain} is ready</h1>\n<p>The site works. There is nothing here yet.</p>\n<p>Upload your files to the folder of this site, and this page makes way for yours.</p>"
        ),
    )
}

/// What a suspended site shows.
#[must_use]
pub fn suspended() -> String {
    page(
        "Site suspended",
        "<h1>This site is taking a break</h1>\n<p>It has been suspended for now. Nothing is lost.</p>\n<p>If it is yours, please contact your hosting provider.</p>",
    )
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"robots\" content=\"noindex\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
}
