//! nginx configuration as text.
//!
//! **A value changes one word of the result, never its structure**: every word that is not ours is checked against the
//! characters that mean nothing to nginx, here, whatever its type promised.

use std::collections::BTreeSet;
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
/// Requests of one site at a time, those of this host itself aside. One with PHP takes two of the [`CONNECTIONS`] that nginx
/// has per core, so even on one core a site leaves three quarters of them to the others.
const REQUESTS: u32 = 512;
/// Connections of each worker process, a process per core: some 430 bytes each, 1.7 MiB in all.
pub const CONNECTIONS: u32 = 4096;
/// What Debian gives it.
const DEBIANS_CONNECTIONS: &str = "worker_connections 768;";
/// A worker process that a reload has replaced may serve what it has begun for so long: a large download to a slow reader,
/// an open stream. Without a limit each reload leaves another such process, with everybody's configuration in its memory.
const SHUTDOWN_TIMEOUT_S: u32 = 300;

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
    let probe = match spec.presence {
        Presence::Active => probe(spec, generation, "")?,
        Presence::Suspended | Presence::Deleted => probe(spec, generation, FROM_HERE_ONLY)?,
    };
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
         server {{\n    listen 80;\n{listen6}    server_name {names};\n    server_tokens off;\n    access_log {access} gantry;\n    error_log {error};\n    limit_conn gantry_sites {REQUESTS};\n{serve}{probe}{}}}\n",
        includes(spec)?
    ))
}

/// Where the files are, and that no link leads out of the folder that is the tenant's.
fn files(spec: &SiteSpec, index: &str) -> Result<String, PlanError> {
    let root = path(&paths::document_root(&spec.user, &spec.document_root))?;
    let top = path(&paths::document_top(&spec.user, &spec.document_root))?;
    Ok(format!(
        "    root {root};\n    index {index};\n    disable_symlinks if_not_owner from={top};\n\n    \
         if ($gantry_refused) {{\n        return 404;\n    }}\n"
    ))
}

const STATIC_BODY: &str = "    location / {\n        try_files $uri $uri/ =404;\n    }\n";

/// What PHP is told of a request is said once, by [`baseline`]: said in each vhost it is a third of what nginx reads.
fn php_body(socket: &str, generation: Generation) -> String {
    // The socket in a variable: a literal one makes nginx compare it with every other (2.4 times slower at 10,000 sites).
    // What an admin's include says of everybody's requests (a password, addresses, limits) is not said of the probe.
    format!(
        "    set $gantry_php unix:{socket};\n\n    \
         location / {{\n        try_files $uri $uri/ /index.php?$args;\n    }}\n    \
         location ~ \\.php$ {{\n        try_files $uri =404;\n        \
         fastcgi_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Charset;\n        \
         fastcgi_read_timeout {READ_TIMEOUT_S}s;\n        fastcgi_pass $gantry_php;\n    }}\n    \
         location = {PHP_PROBE_PATH} {{\n        access_log off;\n        \
         satisfy all;\n        allow 127.0.0.1;\n        allow ::1;\n        deny all;\n        auth_basic off;\n        \
         auth_request off;\n        limit_req zone=gantry_probes;\n        limit_conn gantry_sites {REQUESTS};\n        \
         fastcgi_param REQUEST_METHOD $request_method;\n        fastcgi_param SCRIPT_FILENAME {}/probe.php;\n        \
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

/// Where `$gantry_refused` is not asked.
const FROM_HERE_ONLY: &str = "        if ($gantry_local = 0) {\n            return 404;\n        }\n";

/// nginx tells by itself, whatever PHP does, of which site this is which generation: for a name that has no vhost of its own,
/// one with a wildcard answers.
fn probe(spec: &SiteSpec, generation: Generation, guard: &str) -> Result<String, PlanError> {
    let site = word(spec.domain.as_str())?;
    Ok(format!(
        "    location = {PROBE_PATH} {{\n        access_log off;\n        default_type application/json;\n{guard}        \
         return 200 '{{\"site\":\"{site}\",\"generation\":{generation}}}';\n    }}\n"
    ))
}

/// What an admin has put beside our configuration: for all sites of the server, for the account's, for this one. A directory
/// that is not there is no error to nginx, since each is asked for by a pattern.
///
/// What is said there at the level of `server` (`return`, `rewrite`, `if`) comes before every location, so a probe leaves that
/// phase before it.
fn includes(spec: &SiteSpec) -> Result<String, PlanError> {
    let [accounts, sites] = paths::INCLUDE_GROUPS;
    let (user, domain) = (word(spec.user.as_str())?, word(spec.domain.as_str())?);
    Ok(format!(
        "    if ($gantry_asked) {{\n        break;\n    }}\n    include {}/*.conf;\n    include {accounts}/{user}/*.conf;\n    include {sites}/{domain}/*.conf;\n",
        paths::INCLUDES_OF_ALL
    ))
}

/// What the vhosts of a pool take over from it.
#[must_use]
pub fn pool(settings: &PhpSettings) -> String {
    format!("{MARK}. Changes here are overwritten.\nclient_max_body_size {}m;\n", settings.post_max_size_mib)
}

/// What every vhost relies on, at the level `http`: room for long names, the log format, who counts as this host, what nobody
/// may ask for (hidden files, and the probes from elsewhere), what is a probe, what PHP is told of a request, how many requests each site has
/// under way (128 bytes a site: 10 MiB are enough for 80,000), and a server that answers nothing to names nobody has. Nothing
/// here may be said in a distribution's nginx.conf too: nginx refuses what it reads twice at one level.
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
         map \"$gantry_local:$uri\" $gantry_refused {{\n    volatile;\n    default 0;\n    \"1:{PROBE_PATH}\" 0;\n    \
         \"1:{PHP_PROBE_PATH}\" 0;\n    \"~/\\.(?!well-known/)\" 1;\n}}\n\
         map \"$gantry_local:$uri\" $gantry_asked {{\n    volatile;\n    default 0;\n    \"1:{PROBE_PATH}\" 1;\n    \
         \"1:{PHP_PROBE_PATH}\" 1;\n}}\n\
         include fastcgi_params;\nfastcgi_param DOCUMENT_ROOT $realpath_root;\n\
         fastcgi_param SCRIPT_FILENAME $realpath_root$fastcgi_script_name;\nfastcgi_param HTTP_PROXY \"\";\n\
         map $gantry_local $gantry_counted {{\n    default \"\";\n    0 $server_name;\n}}\n\
         limit_conn_zone $gantry_counted zone=gantry_sites:10m;\n\
         limit_req_zone $gantry_counted zone=gantry_probes:32k rate=100r/s;\n\
         server {{\n    listen 80 default_server;\n{listen6}    server_name _;\n    server_tokens off;\n    access_log off;\n    return 444;\n}}\n"
    );
    text
}

/// How many files nginx may have open on a host with so many accounts. Its master opens two logs of each, and while it reloads
/// all of them twice; each worker process has them too, and for a connection three more (the reader's, PHP's or a file's, and
/// one for what is too large for memory). Twice what that makes, since accounts come between two looks; a power of two, so that
/// it seldom changes.
#[must_use]
pub fn descriptors(accounts: usize) -> u32 {
    /// Its own logs, sockets and channels.
    const OWN: u32 = 512;
    /// The kernel's own limit (`fs.nr_open`).
    const MOST: u32 = 1 << 20;
    let logs = u32::try_from(accounts).unwrap_or(MOST).saturating_mul(2);
    let needed = logs.saturating_mul(2).max(logs.saturating_add(3 * CONNECTIONS)).saturating_add(OWN);
    needed.saturating_mul(2).min(MOST).next_power_of_two()
}

/// What is to be said at nginx's main level, where each may be said only once.
const MAIN: [&str; 2] = ["worker_rlimit_nofile", "worker_shutdown_timeout"];

/// Which of it others say already, by the lines of their files.
#[must_use]
pub fn given(lines: impl Iterator<Item = impl AsRef<str>>) -> BTreeSet<&'static str> {
    let said = |line: &str| MAIN.into_iter().find(|directive| line.split_whitespace().next() == Some(directive));
    lines.filter_map(|line| said(line.as_ref())).collect()
}

/// Our part of nginx's main level. `given`: what is an administrator's to say.
#[must_use]
pub fn main_level(descriptors: u32, given: &BTreeSet<&'static str>) -> String {
    let mut text = format!("{MARK}. Changes here are overwritten.\n");
    let lines = [(MAIN[0], descriptors.to_string()), (MAIN[1], format!("{SHUTDOWN_TIMEOUT_S}s"))];
    for (directive, value) in lines.iter().filter(|(directive, _)| !given.contains(directive)) {
        let _ = writeln!(text, "{directive} {value};");
    }
    text
}

/// An nginx.conf with room for more connections, if it gives them Debian's own number: it can be said in no other file. A number
/// that an administrator has chosen stands.
#[must_use]
pub fn with_connections(conf: &str) -> Option<String> {
    let mut said = conf.lines().filter(|line| line.trim_start().starts_with("worker_connections"));
    let stock = said.next().is_some_and(|line| line.trim() == DEBIANS_CONNECTIONS) && said.next().is_none();
    stock.then(|| conf.replacen(DEBIANS_CONNECTIONS, &format!("worker_connections {CONNECTIONS};"), 1))
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
    use super::{baseline, descriptors, given, main_level, with_connections};

    #[test]
    fn descriptors_are_enough_for_every_log_twice_and_for_the_connections() {
        assert_eq!([0, 1_000, 5_000, 10_000].map(descriptors), [32_768, 32_768, 65_536, 131_072]);
        for accounts in [0, 1, 999, 5_000, 20_000, 100_000] {
            assert!(descriptors(accounts) as usize >= 4 * accounts + 512);
            assert!(descriptors(accounts) as usize >= 2 * accounts + 3 * 4_096 + 512);
        }
    }

    #[test]
    fn what_an_administrator_says_at_the_main_level_stands() {
        let conf = "user www-data;\n  worker_shutdown_timeout 1h;\n# worker_rlimit_nofile 5;\n";
        let given = given(conf.lines());
        assert_eq!(main_level(64, &given).lines().skip(1).collect::<Vec<_>>(), ["worker_rlimit_nofile 64;"]);
    }

    #[test]
    fn debians_own_number_of_connections_is_raised_and_another_one_stands() {
        let debian = "events {\n\tworker_connections 768;\n\t# multi_accept on;\n}\n";
        assert_eq!(with_connections(debian).unwrap(), debian.replace("768", "4096"));
        for own in ["events { worker_connections 512; }", "events {\n\tworker_connections 1024;\n}", "events {}"] {
            assert_eq!(with_connections(own), None);
        }
        assert_eq!(with_connections(&with_connections(debian).unwrap()), None);
    }

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
