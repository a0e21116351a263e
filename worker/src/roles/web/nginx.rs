//! nginx configuration as text.
//!
//! **A value changes one word of the result, never its structure**: every word that is not ours is checked against the
//! characters that mean nothing to nginx, here, whatever its type promised.

use std::fmt::Write;
use std::path::Path;

use shared::jobs::{Generation, PhpSettings, Presence, SiteKind, SiteSpec};

use super::paths;
use crate::roles::PlanError;
use crate::system::{PHP_PROBE_PATH, PROBE_PATH};

/// How every vhost of ours begins. A file that begins otherwise is somebody else's.
pub const MARK: &str = "# Made by Gantry";

/// Longer than any script may run (`PhpSettings` allows 3600 s), so that PHP's own limit is the one that counts.
const READ_TIMEOUT_S: u32 = 3620;
/// What a site without PHP takes of a request's body: it has no use for any.
const BODY_MIB: u32 = 1;
/// Requests of one site at a time, those of this host itself aside. Debian's nginx has 768 connections per core and one with
/// PHP takes two, so on two cores a site leaves a third of them to the others.
const REQUESTS: u32 = 512;

/// The vhost of a site.
///
/// # Errors
/// A value would change the structure.
pub fn vhost(spec: &SiteSpec, generation: Generation, ipv6: bool) -> Result<String, PlanError> {
    let mut names = word(spec.domain.as_str())?.to_owned();
    for alias in &spec.aliases {
        names.push(' ');
        names.push_str(word(alias.as_str())?);
    }
    let logs = paths::in_cell(&spec.user, "logs");
    let (access, error) = (path(&logs.join("access.log"))?, path(&logs.join("error.log"))?);
    let serve = match (spec.presence, spec.kind) {
        (Presence::Suspended | Presence::Deleted, SiteKind::Static | SiteKind::Php { .. }) => suspended(),
        (Presence::Active, SiteKind::Static) => {
            format!("    client_max_body_size {BODY_MIB}m;\n{}{STATIC_BODY}", files(spec, "index.html index.htm")?)
        }
        (Presence::Active, SiteKind::Php { version }) => {
            let socket = path(&paths::php_socket(&spec.user, version))?;
            let pool = path(&paths::nginx_pool(&spec.user, version))?;
            format!("    include {pool};\n{}{}", files(spec, "index.php index.html index.htm")?, php_body(&socket, generation))
        }
    };
    let listen6 = if ipv6 { "    listen [::]:80;\n" } else { "" };
    Ok(format!(
        "{MARK}. Changes here are overwritten. Generation {generation}.\n\
         server {{\n    listen 80;\n{listen6}    server_name {names};\n    server_tokens off;\n    access_log {access} gantry;\n    error_log {error};\n    limit_conn gantry_sites {REQUESTS};\n{serve}{}{}}}\n",
        probe(generation),
        includes(spec)?
    ))
}

/// Where the files are, and that no link leads out of the folder that is the tenant's.
fn files(spec: &SiteSpec, index: &str) -> Result<String, PlanError> {
    let root = path(&paths::document_root(&spec.user, &spec.document_root))?;
    let top = path(&paths::document_top(&spec.user, &spec.document_root))?;
    Ok(format!(
        "    root {root};\n    index {index};\n    disable_symlinks if_not_owner from={top};\n\n    \
         location ~ /\\.(?!well-known/) {{\n        return 404;\n    }}\n"
    ))
}

const STATIC_BODY: &str = "    location / {\n        try_files $uri $uri/ =404;\n    }\n";

fn php_body(socket: &str, generation: Generation) -> String {
    // The socket in a variable: a literal one makes nginx compare it with every other (2.4 times slower at 10,000 sites).
    format!(
        "    set $gantry_php unix:{socket};\n\n    \
         location / {{\n        try_files $uri $uri/ /index.php?$args;\n    }}\n    \
         location ~ \\.php$ {{\n        try_files $uri =404;\n        include fastcgi_params;\n        \
         fastcgi_param DOCUMENT_ROOT $realpath_root;\n        \
         fastcgi_param SCRIPT_FILENAME $realpath_root$fastcgi_script_name;\n        \
         fastcgi_param HTTP_PROXY \"\";\n        \
         fastcgi_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Charset;\n        \
         fastcgi_read_timeout {READ_TIMEOUT_S}s;\n        fastcgi_pass $gantry_php;\n    }}\n    \
         location = {PHP_PROBE_PATH} {{\n        access_log off;\n        if ($gantry_local = 0) {{\n            return 404;\n        }}\n        \
         include fastcgi_params;\n        fastcgi_param SCRIPT_FILENAME {}/probe.php;\n        \
         fastcgi_param GANTRY_GENERATION {generation};\n        fastcgi_pass $gantry_php;\n    }}\n",
        paths::LIBRARY
    )
}

fn suspended() -> String {
    format!(
        "    client_max_body_size {BODY_MIB}m;\n    error_page 503 /.gantry/suspended;\n    \
         error_page 413 =503 /.gantry/suspended;\n\n    \
         location / {{\n        return 503;\n    }}\n    \
         location = /.gantry/suspended {{\n        internal;\n        default_type text/html;\n        \
         add_header Retry-After 3600 always;\n        add_header Cache-Control no-store always;\n        \
         alias {}/suspended.html;\n    }}\n",
        paths::LIBRARY
    )
}

/// nginx tells the generation by itself, whatever PHP does.
fn probe(generation: Generation) -> String {
    format!(
        "    location = {PROBE_PATH} {{\n        access_log off;\n        default_type application/json;\n        \
         if ($gantry_local = 0) {{\n            return 404;\n        }}\n        \
         return 200 '{{\"generation\":{generation}}}';\n    }}\n"
    )
}

/// What an admin has put beside our configuration: for all sites of the server, for the account's, for this one. A directory
/// that is not there is no error to nginx, since each is asked for by a pattern.
fn includes(spec: &SiteSpec) -> Result<String, PlanError> {
    let [accounts, sites] = paths::INCLUDE_GROUPS;
    let (user, domain) = (word(spec.user.as_str())?, word(spec.domain.as_str())?);
    Ok(format!(
        "    include {}/*.conf;\n    include {accounts}/{user}/*.conf;\n    include {sites}/{domain}/*.conf;\n",
        paths::INCLUDES_OF_ALL
    ))
}

/// What the vhosts of a pool take over from it.
#[must_use]
pub fn pool(settings: &PhpSettings) -> String {
    format!("{MARK}. Changes here are overwritten.\nclient_max_body_size {}m;\n", settings.post_max_size_mib)
}

/// What every vhost relies on, at the level `http`: room for long names, the log format, who counts as this host, how many
/// requests each site has under way (128 bytes a site: 10 MiB are enough for 80,000), and a server that answers nothing to
/// names nobody has. Nothing here may be said in a distribution's nginx.conf too: nginx refuses what it reads twice
/// at one level.
#[must_use]
pub fn baseline(ipv6: bool) -> String {
    let listen6 = if ipv6 { "    listen [::]:80 default_server;\n" } else { "" };
    let mut text = format!("{MARK}. Changes here are overwritten.\n");
    // A name has up to 253 bytes; nginx keeps a few words beside it in a bucket.
    text.push_str("server_names_hash_bucket_size 512;\nserver_names_hash_max_size 65536;\n");
    let _ = write!(
        text,
        "log_format gantry '$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent '\n    \
         '\"$http_referer\" \"$http_user_agent\" $host $request_time';\n\
         geo $gantry_local {{\n    default 0;\n    127.0.0.1 1;\n    ::1 1;\n}}\n\
         map $gantry_local $gantry_counted {{\n    default \"\";\n    0 $server_name;\n}}\n\
         limit_conn_zone $gantry_counted zone=gantry_sites:10m;\n\
         server {{\n    listen 80 default_server;\n{listen6}    server_name _;\n    server_tokens off;\n    access_log off;\n    return 444;\n}}\n"
    );
    text
}

fn path(path: &Path) -> Result<String, PlanError> {
    word(path.to_str().unwrap_or("\0")).map(str::to_owned)
}

/// A word of nginx's grammar without any character that ends it, quotes it or starts a variable or comment.
fn word(text: &str) -> Result<&str, PlanError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'/' | b'*');
    if !text.is_empty() && text.bytes().all(plain) {
        Ok(text)
    } else {
        Err(PlanError::Unwritable { format: "nginx configuration", value: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::baseline;

    /// Debian 13's nginx.conf says `server_tokens off`, and nginx refused the second one.
    #[test]
    fn the_baseline_repeats_nothing_that_debians_nginx_conf_says() {
        let debian = [
            "sendfile",
            "tcp_nopush",
            "types_hash_max_size",
            "server_tokens",
            "default_type",
            "ssl_protocols",
            "ssl_prefer_server_ciphers",
            "access_log",
            "error_log",
            "gzip",
        ];
        let text = baseline(true);
        let top = text.lines().filter(|line| !line.starts_with([' ', '}', '#'])).map(|line| line.split(' ').next().unwrap_or_default());
        for directive in top {
            assert!(!debian.contains(&directive), "{directive}");
        }
    }
}
