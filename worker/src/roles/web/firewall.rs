//! What accounts may reach over the network, as nftables rules of our own.
//!
//! **The table `inet gantry` is ours and nothing else is touched**: an administrator's own rules stand beside it. A packet
//! passes only if every table lets it pass, so these rules forbid and never allow what others forbid.
//!
//! Whose a packet is, is the uid its socket was opened under. sshd's and nginx's sockets are not a tenant's.

use std::fmt::Write;

use shared::names::Uid;

use super::paths;
use crate::system::NFT;

/// The table's name.
pub const TABLE: &str = "gantry";

/// Addresses of clouds' metadata services that are not link-local: what they tell is the server's, not its tenants'.
const METADATA4: [&str; 2] = [
    "100.100.100.200", // Alibaba Cloud
    "168.63.129.16",   // Azure
];
const METADATA6: [&str; 3] = [
    "fd00:ec2::254",      // Amazon
    "fd20:ce::254",       // Google
    "fd00:c1::a9fe:a9fe", // Oracle
];

/// The rules, as one transaction that replaces the table.
#[must_use]
pub fn rules() -> String {
    let (first, last, name) = (Uid::FIRST, Uid::LAST, TABLE);
    let mut text = format!(
        "# Made by Gantry. Changes here are overwritten.\n\
         table inet {name}\ndelete table inet {name}\ntable inet {name} {{\n    \
         chain output {{\n        type filter hook output priority filter; policy accept;\n        \
         meta skuid {first}-{last} goto account\n    }}\n    \
         chain account {{\n        \
         # Names are resolved wherever the resolver is: on this host, in the private network, at a cloud's metadata address.\n        \
         meta l4proto {{ tcp, udp }} th dport 53 accept\n        \
         oifname \"lo\" goto local\n        \
         # Metadata services, and what else is for this link only.\n        \
         ip daddr 169.254.0.0/16 reject\n        ip6 daddr fe80::/10 reject\n"
    );
    let _ =
        write!(text, "        ip daddr {{ {} }} reject\n        ip6 daddr {{ {} }} reject\n", METADATA4.join(", "), METADATA6.join(", "));
    text.push_str(
        "        # Mail leaves through a mail server that knows whose it is.\n        tcp dport 25 reject\n    }\n    \
         # This host itself, by whichever of its addresses.\n    \
         chain local {\n        \
         # Sites are open to everybody and call themselves by their public names, as WordPress does for its timed tasks.\n        \
         ip daddr != 127.0.0.0/8 tcp dport { 80, 443 } accept\n        \
         ip6 daddr != ::1 tcp dport { 80, 443 } accept\n        \
         # An account's own database and the submission of mail will be let through here.\n        \
         reject\n    }\n}\n",
    );
    text
}

/// Loads the rules at boot, before there is a network; and again whenever Debian's own service, which begins by flushing
/// everything, has done its work.
#[must_use]
pub fn unit() -> String {
    let (rules, table) = (paths::FIREWALL, TABLE);
    format!(
        "# Made by Gantry. Changes here are overwritten.\n[Unit]\nDescription=What Gantry's accounts may reach over the network\n\
         DefaultDependencies=no\nAfter=nftables.service\nPartOf=nftables.service\nReloadPropagatedFrom=nftables.service\n\
         Wants=network-pre.target\nBefore=network-pre.target shutdown.target\nConflicts=shutdown.target\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nStandardInput=null\nProtectSystem=full\nProtectHome=yes\n\
         ExecStart={NFT} -f {rules}\nExecReload={NFT} -f {rules}\nExecStop=-{NFT} delete table inet {table}\n\n\
         [Install]\nWantedBy=sysinit.target\n"
    )
}
