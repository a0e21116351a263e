//! Adding a server: the form, and then the one command that brings its worker here.

use jiff::Timestamp;
use maud::{Markup, html};
use shared::ids::ServerId;
use shared::names::ServerName;
use shared::role::Role;

use super::{Reach, Row, reach};
use crate::paths;
use crate::views::components::badge::Tone;
use crate::views::components::button::{self, Weight};
use crate::views::components::choice::{Choice, ChoiceField, Look};
use crate::views::components::form_field::{self, Field};
use crate::views::components::icon::Icon;
use crate::views::components::{note, secret, time};
use crate::views::fragment::Fragment;
use crate::views::layout::{self, Nav, Page, Viewer};
use crate::views::model::Errors;

/// What is typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerForm {
    /// `name`.
    pub name: String,
    /// `label`: what people call it.
    pub label: String,
    /// `hostname`.
    pub hostname: String,
    /// `address`: where its sites answer.
    pub address: String,
    /// `role_web`, `role_db` and so on: the switches that are on.
    pub roles: Vec<Role>,
    /// `mail_hostname`.
    pub mail_hostname: String,
    /// `bus_url`.
    pub bus_url: String,
    /// `panel_url`.
    pub panel_url: String,
    /// `phpmyadmin_path`.
    pub phpmyadmin_path: String,
    /// `roundcube_path`.
    pub roundcube_path: String,
    /// `panel_tls`: `letsencrypt`, `custom` or `selfsigned`.
    pub panel_tls: String,
    /// `mail_tls`: the same.
    pub mail_tls: String,
    /// `max_accounts`; empty: no limit.
    pub max_accounts: String,
    /// `active`: whether it takes accounts.
    pub active: bool,
}

/// What is true of a server that was told nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// Where workers find the bus; empty where nobody has said so yet.
    pub bus_url: String,
    /// Where people find the panel.
    pub panel_url: String,
}

/// The form's model.
#[derive(Debug, Clone, Default)]
pub struct NewModel {
    /// What is true of a server that is told nothing else.
    pub defaults: Defaults,
    /// What was typed, or the defaults.
    pub form: ServerForm,
    /// What was wrong.
    pub errors: Errors,
}

/// The page with the form.
#[must_use]
pub fn new_page(viewer: &Viewer, model: &NewModel) -> Markup {
    let line = html! { "Fill in the form, run one command on the host, watch it turn green." };
    let body = html! {
        (layout::page_head(&html! { "Add a server" }, &line, &layout::nothing()))
        div.split { div.stack { (form(model)) } aside.stack { (what_happens()) (firewall()) } }
    };
    layout::page(viewer, &Page::new("Add a server", Nav::Servers, body).below("Servers", paths::SERVERS))
}

fn form(model: &NewModel) -> Markup {
    let form = &model.form;
    html! {
        form.card method="post" action=(paths::SERVERS) {
            div.card-body.form {
                (note::form_errors(&model.errors))
                div.fields {
                    (Field::text("name", "Name").value(&form.name).required().autofocus().error(model.errors.get("name"))
                        .help("On the bus, and for good: short, such as web5. Small letters, digits and hyphens."))
                    (Field::text("hostname", "Hostname").value(&form.hostname).required().error(model.errors.get("hostname"))
                        .help("Full name, such as web5.example.com. Clients see it."))
                }
                hr;
                (settings(form, &model.defaults, &model.errors))
            }
            footer.card-foot {
                (button::submit(Weight::Primary, "Add server"))
                (button::link(Weight::Normal, None, "Cancel", paths::SERVERS))
                (note::form_summary(&model.errors))
            }
        }
    }
}

/// Everything but the name and the hostname.
pub(super) fn settings(form: &ServerForm, defaults: &Defaults, errors: &Errors) -> Markup {
    let bus = if defaults.bus_url.is_empty() { "the one that the others use".to_owned() } else { defaults.bus_url.clone() };
    let bus = format!(
        "Where its worker finds the bus. Empty means {bus}. A worker that has joined learns of a change when it joins again, by a new \
         installation script."
    );
    let panel = format!("Where its host finds this panel. Empty means {}.", defaults.panel_url);
    html! {
        (Field::text("label", "Display name").value(&form.label).optional().error(errors.get("label"))
            .help("What people call it, such as Frankfurt 1. It may change at any time."))
        hr;
        (form_field::group("roles", "Roles", errors.get("roles"), ROLES_HELP, &html! {
            @for role in Role::ALL {
                (form_field::switch(&format!("role_{role}"), role.as_str(), role_note(role), form.roles.contains(&role)))
            }
        }))
        hr;
        (Field::number("max_accounts", "Max. accounts").value(&form.max_accounts).unit("accounts").optional()
            .error(errors.get("max_accounts")).help("New accounts go elsewhere once it is reached. Empty means no limit."))
        (form_field::switch("active", "Active", "Takes new accounts. Off drains the server: what runs there keeps running.", form.active))
        hr;
        div.fields {
            (Field::text("address", "Address").value(&form.address).optional().mono().error(errors.get("address"))
                .help("Where its sites and SFTP answer: an IP address or a name. Empty means the hostname."))
            (Field::text("mail_hostname", "Mail hostname").value(&form.mail_hostname).optional().error(errors.get("mail_hostname"))
                .help("Such as mail.example.com."))
            (Field::text("bus_url", "Bus address").value(&form.bus_url).optional().mono().error(errors.get("bus_url"))
                .placeholder(&defaults.bus_url).help(&bus))
            (Field::text("panel_url", "Panel URL").value(&form.panel_url).optional().mono().error(errors.get("panel_url"))
                .placeholder(&defaults.panel_url).help(&panel))
            (Field::text("phpmyadmin_path", "phpMyAdmin path").value(&form.phpmyadmin_path).optional().mono()
                .error(errors.get("phpmyadmin_path")).help("Such as /phpmyadmin."))
            (Field::text("roundcube_path", "Roundcube path").value(&form.roundcube_path).optional().mono()
                .error(errors.get("roundcube_path")).help("Such as /webmail."))
            (tls("panel_tls", "Panel TLS", &form.panel_tls, errors))
            (tls("mail_tls", "Mail TLS", &form.mail_tls, errors))
        }
        p.help { (TLS_HELP) }
    }
}

fn tls(name: &str, label: &str, chosen: &str, errors: &Errors) -> Markup {
    let choices = [
        Choice::new("letsencrypt", "letsencrypt").note("ordered from Let\u{2019}s Encrypt"),
        Choice::new("custom", "custom").note("uploaded"),
        Choice::new("selfsigned", "selfsigned").note("signed by itself"),
    ];
    let chosen = if chosen.is_empty() { "selfsigned" } else { chosen };
    html! { (ChoiceField { name, label, look: Look::List, chosen, choices: &choices, help: None, error: errors.get(name) }) }
}

/// What is true of certificates so far.
const TLS_HELP: &str = "Both TLS choices are kept for a later version: this one neither orders nor installs certificates on a server. Sites \
                        answer on port 80, and this panel goes on with the certificate it has.";

/// What is true of roles other than `web` so far.
const ROLES_HELP: &str = "Only web is provisioned in this version. For the others, the installation script installs the packages, and \
                          their daemons are watched.";

const fn role_note(role: Role) -> &'static str {
    match role {
        Role::Web => "Sites: nginx and PHP-FPM.",
        Role::Db => "Databases: MariaDB. Watched, not yet provisioned.",
        Role::Dns => "Zones: PowerDNS. Watched, not yet provisioned.",
        Role::Mail => "Mail: Postfix and Dovecot. Watched, not yet provisioned.",
        Role::Backup => "Backups: restic. Watched, not yet provisioned.",
    }
}

fn what_happens() -> Markup {
    let steps = [
        "You get one command to run on the host as root",
        "It installs the worker, which joins with keys of its own",
        "It reports Debian, PHP versions, disk and memory",
        "The server turns green and takes accounts",
    ];
    html! {
        section.card {
            header.card-head { h2 { "What happens then" } }
            div.card-body { ol.steps { @for step in steps { li data-state="wait" { (Icon::CircleDashed) span { (step) } } } } }
        }
    }
}

fn firewall() -> Markup {
    note::note(
        Tone::Off,
        Icon::Info,
        "Firewall:",
        "the server opens connections to the panel, never the other way. Visitors need port 80, and port 22 for SFTP.",
    )
}

/// A server that has just been added. Shown once, in the answer to the request that added it.
#[derive(Debug, Clone)]
pub struct EnrolModel {
    /// What time it is.
    pub now: Timestamp,
    /// The server.
    pub id: ServerId,
    /// Its name.
    pub name: ServerName,
    /// When it ends.
    pub token_expires_at: Timestamp,
    /// The command to run on the host. It holds the token.
    pub command: String,
    /// The same by hand: the lines of `/etc/gantry-worker/config.env`.
    pub config: String,
    /// The worker's packages to download, by file name.
    pub packages: Vec<String>,
    /// Whether it answers by now.
    pub reach: Reach,
    /// The live stream.
    pub live: Option<String>,
}

const STATUS: &str = "enrol-status";

/// The page with the token and the command. It is not loaded again by itself: the token is shown once.
#[must_use]
pub fn enrol_page(viewer: &Viewer, model: &EnrolModel) -> Markup {
    let line = html! { "Run the command on the host as root. This page shows when the worker has called." };
    let sentence = format!(
        "Shown once. It lets one host join and then stops working. It ends {}.",
        time::until_text(model.token_expires_at, model.now)
    );
    let body = html! {
        (layout::page_head(&html! { "Install the worker on " (model.name) }, &line, &layout::nothing()))
        div.split {
            section.card {
                header.card-head { h2 { "Installation script" } small { "Debian 12 or 13" } }
                div.card-body.stack {
                    @if model.packages.is_empty() { (no_package()) }
                    p.muted.small { "It needs curl. On a minimal Debian, run this first: " code { "apt-get update && apt-get install -y curl" } }
                    (secret::secret_block(&model.command, &sentence, "Copy the command"))
                    p.muted.small {
                        "The command checks that it talks to this panel, installs the worker and what the server's roles need, and \
                         lets the worker join with keys made on the host. Until the server is green it may be run again."
                    }
                }
                (enrol_status(model.id, &model.name, model.reach, model.now).html)
            }
            aside.stack {
                (by_hand(model))
                (firewall())
            }
        }
    };
    let page = Page::new("Install the worker", Nav::Servers, body)
        .below("Servers", paths::SERVERS)
        .below(model.name.as_str(), paths::server(model.id))
        .live(model.live.as_deref(), false);
    layout::page(viewer, &page)
}

/// A panel that was not installed from its package has none to give.
fn no_package() -> Markup {
    note::note(
        Tone::Warn,
        Icon::TriangleAlert,
        "This panel has no worker package to hand out.",
        "The command will say so. Install the package gantry-worker on the host yourself, and go on by hand.",
    )
}

fn by_hand(model: &EnrolModel) -> Markup {
    html! {
        section.card {
            header.card-head { h2 { "By hand" } p { "instead of the command" } }
            div.card-body.stack {
                ol.small {
                    li {
                        "Install the package "
                        @for (at, file) in model.packages.iter().enumerate() {
                            @if at > 0 { ", " }
                            a.inline-link href=(paths::join_package(file)) download { (file) }
                        }
                        @if model.packages.is_empty() { code { "gantry-worker" } }
                        " with " code { "apt install" } "."
                    }
                    li { "Write this into " code { "/etc/gantry-worker/config.env" } "." }
                    li { "Run " code { "systemctl enable --now gantry-worker" } "." }
                }
                (secret::copy_block(&model.config, "Copy the lines"))
            }
        }
    }
}

/// The part that turns green. It comes over the stream of the server's own page, which has no such element.
#[must_use]
pub fn enrol_fragment(server: &Row, now: Timestamp) -> Fragment {
    enrol_status(server.id, &server.name, server.reach, now)
}

fn enrol_status(id: ServerId, name: &ServerName, is: Reach, now: Timestamp) -> Fragment {
    // One that is offline or shut out is waited for as one that has never called.
    let (waiting, tone) = match is {
        Reach::Online { .. } => (false, Tone::Ok),
        Reach::Offline { .. } | Reach::ShutOut { .. } | Reach::WaitingToEnrol { .. } => (true, Tone::Work),
    };
    let html = html! {
        div.card-foot #(STATUS) data-state=(tone) aria-live="polite" {
            @if waiting {
                span.dot.is-live {} span.grow { b.strong { "Waiting for " (name) " to call" } }
            } @else {
                span.grow { (reach(is, 0, now)) }
            }
            a.inline-link href=(paths::server(id)) { "Open " (name) }
        }
    };
    Fragment::new(STATUS, html)
}
