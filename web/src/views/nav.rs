//! The sidebar: who sees which entries. **Only what exists is in it.**

use maud::{Markup, html};

use super::components::badge::Tone;
use super::components::icon::Icon;
use super::components::stat::count;
use super::fragment::Fragment;
use super::layout::{Audience, Viewer, theme_switch};
use crate::paths;

/// The navigation entry a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nav {
    /// Home or overview.
    Home,
    /// Sites.
    Sites,
    /// Accounts.
    Accounts,
    /// Clients.
    Clients,
    /// Operations.
    Operations,
    /// Servers.
    Servers,
    /// Drift.
    Drift,
    /// Password.
    Password,
    /// Signed-in devices.
    Sessions,
    /// The audit log.
    Audit,
    /// What was refused as a matter of security.
    Security,
    /// No entry.
    Nowhere,
}

struct Entry {
    nav: Nav,
    icon: Icon,
    label: &'static str,
    path: &'static str,
}

const fn entry(nav: Nav, icon: Icon, label: &'static str, path: &'static str) -> Entry {
    Entry { nav, icon, label, path }
}

const ADMIN: &[(&str, &[Entry])] = &[
    ("", &[entry(Nav::Home, Icon::Activity, "Overview", paths::HOME)]),
    (
        "Fleet",
        &[
            entry(Nav::Servers, Icon::Server, "Servers", paths::SERVERS),
            entry(Nav::Operations, Icon::ListChecks, "Operations", paths::OPERATIONS),
            entry(Nav::Drift, Icon::FileCode, "Drift", paths::DRIFT),
            entry(Nav::Security, Icon::LockKeyhole, "Security events", paths::SECURITY),
        ],
    ),
    (
        "Hosting",
        &[entry(Nav::Accounts, Icon::FolderKey, "Accounts", paths::ACCOUNTS), entry(Nav::Sites, Icon::Globe, "Sites", paths::SITES)],
    ),
    (
        "People",
        &[entry(Nav::Clients, Icon::Users, "Clients", paths::CLIENTS), entry(Nav::Audit, Icon::ScrollText, "Audit log", paths::AUDIT)],
    ),
];

const CLIENT: &[(&str, &[Entry])] = &[
    ("", &[entry(Nav::Home, Icon::House, "Home", paths::HOME)]),
    (
        "Websites",
        &[
            entry(Nav::Sites, Icon::Globe, "Sites", paths::SITES),
            entry(Nav::Accounts, Icon::FolderKey, "Accounts", paths::ACCOUNTS),
            entry(Nav::Operations, Icon::History, "Activity", paths::OPERATIONS),
        ],
    ),
    (
        "Security",
        &[
            entry(Nav::Password, Icon::KeyRound, "Password", paths::PASSWORD),
            entry(Nav::Sessions, Icon::MonitorSmartphone, "Signed-in devices", paths::SESSIONS),
            entry(Nav::Audit, Icon::ScrollText, "Security log", paths::AUDIT),
        ],
    ),
];

/// The sidebar, with the entry of this page marked.
pub(super) fn sidebar(viewer: &Viewer, active: Nav) -> Markup {
    let groups = match viewer.audience {
        Audience::Admin => ADMIN,
        Audience::Client => CLIENT,
    };
    html! {
        nav.sidebar #sidebar popover aria-label="Main" {
            a.brand href=(paths::HOME) { (Icon::Gantry) "Gantry" }
            @for (title, entries) in groups {
                div.nav-group {
                    @if !title.is_empty() { h2 { (title) } }
                    @for entry in *entries { (nav_link(viewer, entry, active)) }
                }
            }
            (sidebar_foot(viewer))
        }
    }
}

fn nav_link(viewer: &Viewer, entry: &Entry, active: Nav) -> Markup {
    let current = (entry.nav == active).then_some("page");
    html! {
        a.nav-link href=(entry.path) aria-current=[current] title=[viewer.nav_mini.then_some(entry.label)] {
            (entry.icon) (entry.label)
            @if entry.nav == Nav::Operations { (failed_operations(viewer.failed_operations).html) }
        }
    }
}

const FAILED: &str = "nav-failed";

/// How many operations failed and want a decision. Every page that is live keeps it true.
#[must_use]
pub fn failed_operations(failed: u64) -> Fragment {
    let html = html! {
        span.count #(FAILED) data-state=(Tone::Bad) hidden[failed == 0] { (count(failed)) span.sr { " failed" } }
    };
    Fragment::new(FAILED, html)
}

fn sidebar_foot(viewer: &Viewer) -> Markup {
    let (icon, label, value) =
        if viewer.nav_mini { (Icon::PanelLeftOpen, "Expand", "wide") } else { (Icon::PanelLeftClose, "Collapse", "mini") };
    html! {
        div.sidebar-foot {
            (theme_switch(viewer.theme, &viewer.here))
            form method="post" action=(paths::NAV) data-nav-form {
                input type="hidden" name="back" value=(viewer.here);
                button.nav-link type="submit" name="nav" value=(value) title=[viewer.nav_mini.then_some(label)] { (icon) (label) }
            }
        }
    }
}
