//! sshd configuration and authorized keys as text.

use shared::names::SshPublicKey;

use super::{SFTP_GROUP, paths};

/// Accounts get SFTP in their cell and nothing else. The keys are root's, outside the cell.
#[must_use]
pub fn baseline() -> String {
    format!(
        "# Made by Gantry. Changes here are overwritten.\nMatch Group {SFTP_GROUP}\n    ChrootDirectory {}/%u\n    \
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
