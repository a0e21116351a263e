//! A site's page.

use jiff::Timestamp;
use maud::{Markup, html};
use shared::names::DocumentRoot;

use super::{Row, kind_text, menu_items};
use crate::paths;
use crate::views::components::badge::Tone;
use crate::views::components::button::{self, Weight};
use crate::views::components::icon::Icon;
use crate::views::components::menu::menu;
use crate::views::components::toast::Toast;
use crate::views::components::{kv, note, progress, reference, secret, time};
use crate::views::drift::Drifted;
use crate::views::fragment::Fragment;
use crate::views::layout::{self, Nav, Page, Viewer};
use crate::views::model::PersonRef;
use crate::views::{drift, operation};

/// The page's model.
#[derive(Debug, Clone)]
pub struct ShowModel {
    /// What time it is.
    pub now: Timestamp,
    /// The site.
    pub site: Row,
    /// The address visitors use.
    pub visit_url: String,
    /// Its document root below `htdocs`.
    pub document_root: DocumentRoot,
    /// The client who owns its account, for admins.
    pub owner: Option<PersonRef>,
    /// Its server's host name.
    pub hostname: String,
    /// Its server's public addresses, for the DNS records.
    pub addresses: Vec<String>,
    /// How files arrive.
    pub sftp: Option<Sftp>,
    /// How it differs from what was applied, if it does.
    pub drift: Option<Drifted>,
    /// When its server was last compared with what was applied.
    pub watched_at: Option<Timestamp>,
    /// Its newest operations, newest first.
    pub operations: Vec<operation::Row>,
    /// The live stream.
    pub live: Option<String>,
    /// A message.
    pub toast: Option<Toast>,
}

/// SFTP access of the site's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sftp {
    /// The host to connect to.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The user.
    pub user: String,
    /// Whether a password or a key is set.
    pub ready: bool,
}

const HEAD: &str = "site-head";
const STATUS: &str = "site-status";
const FACTS: &str = "site-facts";
const OPERATIONS: &str = "site-operations";

/// The page.
#[must_use]
pub fn show_page(viewer: &Viewer, model: &ShowModel) -> Markup {
    let name = model.site.domain.to_unicode();
    let body = html! {
        (head(model).html)
        (status(model).html)
        div.split {
            div.stack {
                (names(model))
                @if let Some(sftp) = &model.sftp { (files(model, sftp)) }
            }
            aside.stack { (facts(model).html) (operations(model).html) }
        }
    };
    let page = Page::new(name, Nav::Sites, body)
        .below("Sites", paths::SITES)
        .live(model.live.as_deref(), model.site.is_busy())
        .toast(model.toast.clone());
    layout::page(viewer, &page)
}

/// The parts that change while the page is open.
#[must_use]
pub fn show_fragments(model: &ShowModel) -> Vec<Fragment> {
    vec![head(model), status(model), facts(model), operations(model)]
}

fn head(model: &ShowModel) -> Fragment {
    let site = &model.site;
    let name = site.domain.to_unicode();
    let line = html! { "On " (reference::server(&site.server)) ", " (kind_text(site.kind)) ", files in " code { "htdocs/" (model.document_root) } };
    let actions = html! {
        (button::link(Weight::Normal, Some(Icon::ExternalLink), "Open site", &model.visit_url))
        @if site.can.edit { (button::link(Weight::Normal, Some(Icon::Pencil), "Settings", &paths::site_edit(site.id))) }
        (menu("site-menu", "More actions", false, &more(model)))
    };
    let title = html! { (name) " " (site.badge()) @if let Some(mark) = site.mark() { " " (mark) } };
    Fragment::new(HEAD, html! { div #(HEAD) { (layout::page_head(&title, &line, &actions)) } })
}

/// The settings have a button of their own.
fn more(model: &ShowModel) -> Vec<crate::views::components::menu::Item> {
    menu_items(model.site.id, super::Can { edit: false, ..model.site.can })
}

fn status(model: &ShowModel) -> Fragment {
    let site = &model.site;
    let html = html! {
        div.stack.status-slot #(STATUS) {
            @if let Some(progress) = &site.progress {
                section.card {
                    header.card-head { h2 { (progress.label) } (site.badge()) }
                    div.card-body { (progress::progress(progress)) }
                }
            } @else if let Some(failure) = &site.failure {
                (note::failure(failure))
            } @else if let Some(waiting) = &site.waiting {
                (note::waiting(waiting))
            } @else if site.can.unsuspend {
                (note::note(Tone::Off, Icon::Pause, "This site is suspended.", "Visitors see a page that says so. Bringing it back restores exactly what was."))
            }
            @if let Some(drifted) = &model.drift { (drift::note(drifted)) }
        }
    };
    Fragment::new(STATUS, html)
}

fn names(model: &ShowModel) -> Markup {
    let site = &model.site;
    html! {
        section.card {
            header.card-head { h2 { "Names" } @if site.can.edit { a.small.inline-link href=(paths::site_edit(site.id)) { "Change" } } }
            ul.feed {
                li {
                    (Icon::Globe)
                    span.grow {
                        span.strong { (site.domain.to_unicode()) }
                        @if site.domain.to_unicode() != site.domain.as_str() { br; small { "In DNS: " span.mono { (site.domain) } } }
                    }
                    small { "Primary" }
                }
                @for alias in &site.aliases {
                    li { (Icon::Globe) span.grow { (alias) } small { @if alias.is_wildcard() { "Every name below" } @else { "Alias" } } }
                }
            }
            @if !model.addresses.is_empty() {
                footer.card-foot {
                    span { "Point each name to this server with an A or AAAA record: "
                        @for (at, address) in model.addresses.iter().enumerate() { @if at > 0 { " and " } span.mono { (address) } }
                    }
                }
            }
        }
    }
}

fn files(model: &ShowModel, sftp: &Sftp) -> Markup {
    let folder = format!("htdocs/{}", model.document_root);
    let command = format!("sftp -P {} {}@{}", sftp.port, sftp.user, sftp.host);
    html! {
        section.card {
            header.card-head { h2 { "Upload files" } a.small.inline-link href=(paths::account(model.site.account.id)) { "SFTP access" } }
            div.card-body.stack {
                (kv::list(&[
                    ("Host", kv::mono(&sftp.host)),
                    ("Port", kv::mono(sftp.port)),
                    ("User", kv::mono(&sftp.user)),
                    ("Folder", kv::mono(&folder)),
                ]))
                (secret::copy(&command, "Copy the command"))
                @if !sftp.ready {
                    p.small.muted { "No password or key is set yet. " a href=(paths::account(model.site.account.id)) { "Set one on the account" } "." }
                }
            }
        }
    }
}

fn facts(model: &ShowModel) -> Fragment {
    let site = &model.site;
    let mut facts = vec![("Account", reference::account(&site.account))];
    if let Some(owner) = &model.owner {
        facts.push(("Client", reference::person(owner)));
    }
    facts.push(("Server", html! { (reference::server(&site.server)) br; small { (model.hostname) } }));
    let kind = match site.kind.php() {
        Some(version) => {
            html! { "PHP " (version) ", " a.inline-link href=(paths::account_php(site.account.id, version)) { "PHP settings" } }
        }
        None => kv::text("Static files"),
    };
    facts.push(("Type", kind));
    facts.push(("Document root", kv::mono(format!("/home/{}/htdocs/{}", site.account.user, model.document_root))));
    facts.push(("Created", time::date(site.created_at)));
    if let Some(watched) = drift::watched(model.watched_at, model.drift.is_some(), model.now) {
        facts.push(("Watched over", watched));
    }
    facts.push(("History", html! { a.inline-link href=(paths::site_history(site.id)) { "Every generation of its configuration" } }));
    if model.owner.is_some() {
        facts.push(("Audit log", reference::audit(site.domain.as_str())));
    }
    Fragment::new(FACTS, html! { div #(FACTS) { (kv::card("Details", &facts)) } })
}

fn operations(model: &ShowModel) -> Fragment {
    let all = paths::with_query(paths::OPERATIONS, [("q", model.site.domain.as_str())]);
    Fragment::new(OPERATIONS, operation::feed(OPERATIONS, "Recent changes", &model.operations, Some(&all), model.now))
}
