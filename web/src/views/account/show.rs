//! An account's page.

use jiff::Timestamp;
use maud::{Markup, html};
use shared::jobs::AccountLimits;
use shared::names::PhpVersion;
use shared::operation::ResourceState;

use super::limits::limit_text;
use super::sftp::{self, SftpModel};
use super::{Row, menu_items};
use crate::paths;
use crate::views::components::badge::{self, Tone};
use crate::views::components::button::{self, Weight};
use crate::views::components::icon::Icon;
use crate::views::components::menu::menu;
use crate::views::components::toast::Toast;
use crate::views::components::usage::{Usage, usage};
use crate::views::components::{kv, note, progress, reference, stat, time};
use crate::views::drift::Drifted;
use crate::views::fragment::Fragment;
use crate::views::layout::{self, Nav, Page, Viewer};
use crate::views::preview::{self, PreviewModel};
use crate::views::{drift, operation, site};

/// The page's model.
#[derive(Debug, Clone)]
pub struct ShowModel {
    /// What time it is.
    pub now: Timestamp,
    /// The account.
    pub account: Row,
    /// Its uid on its server, for admins.
    pub uid: Option<u32>,
    /// Its server's host name.
    pub hostname: String,
    /// How files arrive.
    pub sftp: SftpModel,
    /// Its PHP pools, newest version first.
    pub pools: Vec<PoolRow>,
    /// Its limits.
    pub limits: AccountLimits,
    /// What it uses, if measured.
    pub usage: Vec<Usage>,
    /// Its sites.
    pub sites: Vec<site::Row>,
    /// Whether the viewer may create a site in it now.
    pub can_create_site: bool,
    /// How it, or PHP of it, differs from what was applied, if it does.
    pub drift: Option<Drifted>,
    /// What a change of its SFTP access would do, if that was asked.
    pub preview: Option<PreviewModel>,
    /// Its newest operations, newest first.
    pub operations: Vec<operation::Row>,
    /// The live stream.
    pub live: Option<String>,
    /// A message.
    pub toast: Option<Toast>,
}

/// One PHP pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolRow {
    /// Its PHP version.
    pub version: PhpVersion,
    /// Where it stands.
    pub state: ResourceState,
    /// How many sites use it.
    pub sites: u64,
}

const HEAD: &str = "account-head";
const STATUS: &str = "account-status";
const POOLS: &str = "account-pools";
const SITES: &str = "account-sites";
const OPERATIONS: &str = "account-operations";

/// The page.
#[must_use]
pub fn show_page(viewer: &Viewer, model: &ShowModel) -> Markup {
    let account = &model.account;
    let body = html! {
        (head(model).html)
        (status(model).html)
        (sites(model).html)
        div.split {
            div.stack {
                (sftp::card(account.id, account.user.as_str(), &model.sftp))
                (sftp::keys(account.id, &model.sftp))
                @if let Some(shown) = &model.preview { (preview::card(shown)) }
            }
            aside.stack { (facts(model)) (pools(model).html) (limits(model)) (operations(model).html) }
        }
    };
    let busy = account.is_busy() || model.sites.iter().any(site::Row::is_busy);
    let page = Page::new(account.user.as_str(), Nav::Accounts, body)
        .below("Accounts", paths::ACCOUNTS)
        .live(model.live.as_deref(), busy && model.sftp.new_password.is_none() && model.preview.is_none())
        .toast(model.toast.clone());
    layout::page(viewer, &page)
}

/// The parts that change while the page is open. The SFTP card is not among them: it may hold a password shown once.
#[must_use]
pub fn show_fragments(model: &ShowModel) -> Vec<Fragment> {
    vec![head(model), status(model), sites(model), pools(model), operations(model)]
}

fn head(model: &ShowModel) -> Fragment {
    let account = &model.account;
    let line = html! { "Account of " (reference::person(&account.owner)) " on " (reference::server(&account.server)) "." };
    let actions = html! {
        @if model.can_create_site { (button::link(Weight::Primary, Some(Icon::Plus), "Create a site", &paths::site_new_in(account.id))) }
        (menu("account-menu", "More actions", false, &menu_items(account.id, account.can)))
    };
    let title = html! { (account.user) " " (account.badge()) @if let Some(mark) = account.mark() { " " (mark) } };
    Fragment::new(HEAD, html! { div #(HEAD) { (layout::page_head(&title, &line, &actions)) } })
}

fn status(model: &ShowModel) -> Fragment {
    let account = &model.account;
    let html = html! {
        div.stack.status-slot #(STATUS) {
            @if let Some(progress) = &account.progress {
                section.card {
                    header.card-head { h2 { (progress.label) } (account.badge()) }
                    div.card-body { (progress::progress(progress)) }
                }
            } @else if let Some(failure) = &account.failure {
                (note::failure(failure))
            } @else if let Some(waiting) = &account.waiting {
                (note::waiting(waiting))
            } @else if account.state == ResourceState::Suspended {
                (note::note(Tone::Off, Icon::Pause, "This account is suspended.", "Its sites show a page that says so, and nobody signs in by SFTP. Bringing it back restores exactly what was."))
            }
            @if let Some(drifted) = &model.drift { (drift::note(drifted)) }
        }
    };
    Fragment::new(STATUS, html)
}

fn sites(model: &ShowModel) -> Fragment {
    let html = html! {
        section.card #(SITES) {
            header.card-head { h2 { "Sites" } p { (stat::counted(model.sites.len() as u64, "site", "sites")) } }
            @if model.sites.is_empty() {
                div.card-body { p.muted.small { "None yet. A site is a domain and the folder its files live in." } }
            } @else {
                (site::table_of(&model.sites, site::Place::Account, None, model.now))
            }
        }
    };
    Fragment::new(SITES, html)
}

fn facts(model: &ShowModel) -> Markup {
    let account = &model.account;
    let mut facts = vec![
        ("Client", reference::person(&account.owner)),
        ("Server", html! { (reference::server(&account.server)) br; small { (model.hostname) } }),
        ("Folder", kv::mono(format!("/home/{}", account.user))),
    ];
    if let Some(uid) = model.uid {
        facts.push(("Uid", kv::mono(uid)));
        facts.push(("Audit log", reference::audit(account.user.as_str())));
    }
    facts.push(("Created", time::date(account.created_at)));
    html! {
        (kv::card("Details", &facts))
        @if !model.usage.is_empty() {
            section.card { header.card-head { h2 { "Usage" } } div.card-body { (usage(&model.usage)) } }
        }
    }
}

fn pools(model: &ShowModel) -> Fragment {
    let html = html! {
        section.card #(POOLS) {
            header.card-head { h2 { "PHP" } }
            @if model.pools.is_empty() {
                div.card-body { p.muted.small { "None yet. PHP starts with the first site that uses it." } }
            } @else {
                ul.feed {
                    @for pool in &model.pools {
                        li {
                            (Icon::FileCode)
                            span.grow {
                                a.strong href=(paths::account_php(model.account.id, pool.version)) { "PHP " (pool.version) }
                                br; small { (stat::counted(pool.sites, "site", "sites")) }
                            }
                            (badge::resource(pool.state))
                        }
                    }
                }
            }
        }
    };
    Fragment::new(POOLS, html)
}

fn limits(model: &ShowModel) -> Markup {
    html! {
        section.card {
            header.card-head {
                h2 { "Limits" }
                @if model.account.can.edit { a.small.inline-link href=(paths::account_limits(model.account.id)) { "Change" } }
            }
            div.card-body { (kv::list(&limit_text(model.limits))) }
        }
    }
}

fn operations(model: &ShowModel) -> Fragment {
    let all = paths::with_query(paths::OPERATIONS, [("q", model.account.user.as_str())]);
    Fragment::new(OPERATIONS, operation::feed(OPERATIONS, "Recent changes", &model.operations, Some(&all), model.now))
}
