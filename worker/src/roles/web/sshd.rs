//! sshd configuration and authorized keys as text.

use std::collections::BTreeSet;
use std::fmt::Write;

use shared::names::SshPublicKey;

use super::{SFTP_GROUP, paths};

/// What keeps a flood of strangers, or of one tenant's programs, from taking every place at the door: sshd's own limits begin to
/// turn everybody away at ten connections that have not signed in, from wherever they come, and wait two minutes for each.
///
/// None is allowed in a `Match` block, and of a keyword that is given twice the first counts, which is ours. So each is given
/// only if the administrator has not given it.
const DOOR: [(&str, &str); 4] = [
    ("LoginGraceTime", "30"),
    // From 60 on ever more, from 200 on all.
    ("MaxStartups", "60:30:200"),
    ("PerSourceMaxStartups", "10"),
    // A network of IPv6 is one source, an address of IPv4 another.
    ("PerSourceNetBlockSize", "32:64"),
];

/// Which of the limits at the door an administrator's configuration gives, by its lines.
#[must_use]
pub fn given<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeSet<&'static str> {
    let keywords = lines.filter_map(|line| line.trim_start().split([' ', '\t', '=', '"']).next());
    keywords.filter_map(|word| DOOR.iter().find(|(keyword, _)| keyword.eq_ignore_ascii_case(word)).map(|(keyword, _)| *keyword)).collect()
}

/// Accounts get SFTP in their cell and nothing else. The keys are root's, outside the cell. `given`: limits that are the
/// administrator's.
#[must_use]
pub fn baseline(given: &BTreeSet<&'static str>) -> String {
    let mut door = String::new();
    for (keyword, value) in DOOR.iter().filter(|(keyword, _)| !given.contains(keyword)) {
        let _ = writeln!(door, "{keyword} {value}");
    }
    format!(
        "# Made by Gantry. Changes here are overwritten.\n{door}Match Group {SFTP_GROUP}\n    ChrootDirectory {}/%u\n    \
         ForceCommand internal-sftp -u 0027 -d /htdocs\n    AuthorizedKeysFile {}/keys/%u\n    PasswordAuthentication yes\n    \
         KbdInteractiveAuthentication no\n    PermitTTY no\n    AllowTcpForwarding no\n    AllowStreamLocalForwarding no\n    \
         AllowAgentForwarding no\n    X11Forwarding no\n    PermitTunnel no\n    PermitUserRC no\n    MaxSessions 10\nMatch all\n",
        paths::HOMES,
        paths::CONFIG
    )
}

/// One key a line; `restrict` turns off whatever the server's configuration may one day forget.
#[must_use]
pub fn authorized_keys(keys: &[SshPublicKey]) -> String {
    let mut text = String::from("# Made by Gantry. Changes here are overwritten.\n");
    for key in keys {
        text.push_str("restrict ");
        text.push_str(key.as_str());
        text.push('\n');
    }
    text
}
