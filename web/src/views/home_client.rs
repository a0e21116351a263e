//! A client's home: what is going on, and a tile for everything they can do.

use jiff::Timestamp;
use maud::{Markup, html};
use shared::names::PhpVersion;

use super::components::button::{self, Weight};
use super::components::icon::Icon;
use super::components::tile_grid::{self, Tile, TileGroup};
use super::components::toast::Toast;
use super::components::usage::{Usage, usage};
use super::components::{badge, kv, note, progress, stat};
use super::fragment::Fragment;
use super::layout::{self, Nav, Page, Viewer};
use super::{account, operation, site};
use crate::paths;

/// The page's model.
#[derive(Debug, Clone)]
pub struct HomeClient {
    /// What time it is.
    pub now: Timestamp,
    /// How many sites they have.
    pub sites: u64,
    /// How many sites failed.
    pub failed_sites: u64,
    /// Their accounts with server host names.
    pub accounts: Vec<AccountCard>,
    /// Sites with something under way or failed, newest first; a few.
    pub busy: Vec<site::Row>,
    /// What they use against their limits.
    pub usage: Vec<Usage>,
    /// What they asked for, newest first; a few.
    pub operations: Vec<operation::Row>,
    /// Whether they may create a site now.
    pub can_create_site: bool,
    /// The live stream.
    pub live: Option<String>,
    /// A message.
    pub toast: Option<Toast>,
}

/// One account on the side.
#[derive(Debug, Clone)]
pub struct AccountCard {
    /// The account.
    pub account: account::Row,
    /// Its server's host name.
    pub hostname: String,
    /// Its PHP versions, newest first.
    pub php_versions: Vec<PhpVersion>,
}

const HEAD: &str = "home-head";
const BUSY: &str = "home-busy";
const TILES: &str = "home-tiles";
const ACCOUNTS: &str = "home-accounts";
const USAGE: &str = "home-usage";
const OPERATIONS: &str = "home-operations";

/// The page.
#[must_use]
pub fn page(viewer: &Viewer, model: &HomeClient) -> Markup {
    let body = html! {
        (head(model).html)
        div.split {
            div.stack {
                (busy(model).html)
                (tile_grid::filter())
                (tiles(model).html)
                (tile_grid::nothing_left())
            }
            aside.stack { (usages(model).html) (accounts(model).html) (operations(model).html) }
        }
    };
    let is_busy = model.busy.iter().any(site::Row::is_busy) || model.accounts.iter().any(|account| account.account.is_busy());
    layout::page(viewer, &Page::new("Home", Nav::Home, body).live(model.live.as_deref(), is_busy).toast(model.toast.clone()))
}

/// The parts that change while the page is open.
#[must_use]
pub fn fragments(model: &HomeClient) -> Vec<Fragment> {
    vec![head(model), busy(model), tiles(model), usages(model), accounts(model), operations(model)]
}

fn head(model: &HomeClient) -> Fragment {
    let create = button::link(Weight::Primary, Some(Icon::Plus), "Create a site", paths::SITE_NEW);
    let actions = html! { @if model.can_create_site { (create) } };
    let head = layout::page_head(&html! { "Home" }, &html! { "Everything for your websites." }, &actions);
    Fragment::new(HEAD, html! { div #(HEAD) { (head) } })
}

fn tiles(model: &HomeClient) -> Fragment {
    Fragment::new(TILES, html! { div.stack #(TILES) { @for group in groups(model) { (tile_grid::group(&group)) } } })
}

fn busy(model: &HomeClient) -> Fragment {
    let html = html! {
        div.stack.status-slot #(BUSY) {
            @if model.accounts.is_empty() {
                (note::note(badge::Tone::Off, Icon::Info, "You have no account yet.",
                    "Your hosting company makes one for you; your sites will live in it."))
            }
            @for site in &model.busy { (busy_site(site)) }
        }
    };
    Fragment::new(BUSY, html)
}

fn busy_site(site: &site::Row) -> Markup {
    html! {
        section.card {
            div.card-body.stack.is-tight {
                div.row { a.strong href=(paths::site(site.id)) { (site.domain.to_unicode()) } (site.badge()) }
                @if let Some(progress) = &site.progress { (progress::progress(progress)) }
                @else if let Some(failure) = &site.failure { (note::failure_line(failure)) }
                @else if let Some(waiting) = &site.waiting { (note::waiting_line(waiting)) }
            }
        }
    }
}

fn tile(icon: Icon, label: &'static str, href: String, words: &'static str) -> Tile {
    Tile { icon, label, note: None, href, words }
}

fn groups(model: &HomeClient) -> Vec<TileGroup> {
    let mut sites = vec![Tile {
        note: Some(stat::counted(model.sites, "site", "sites")),
        ..tile(Icon::Globe, "Sites", paths::SITES.to_owned(), "domains websites vhost aliases")
    }];
    if model.can_create_site {
        sites.push(tile(Icon::Plus, "Create a site", paths::SITE_NEW.to_owned(), "new add domain website"));
    }
    sites.extend(model.accounts.first().map(php_tile));
    let mut files = Vec::new();
    if let [only] = model.accounts.as_slice() {
        files.push(tile(Icon::FolderKey, "SFTP access", format!("{}#sftp", paths::account(only.account.id)), "ftp upload files password"));
        files.push(tile(Icon::KeyRound, "SFTP keys", format!("{}#sftp-keys", paths::account(only.account.id)), "ssh public key"));
        files.push(tile(Icon::Gauge, "Account", paths::account(only.account.id), "limits usage details"));
    } else if !model.accounts.is_empty() {
        files.push(tile(Icon::FolderKey, "Accounts and SFTP", paths::ACCOUNTS.to_owned(), "ftp upload files password keys"));
    }
    let security = vec![
        tile(Icon::LockKeyhole, "Password", paths::PASSWORD.to_owned(), "change sign in"),
        tile(Icon::MonitorSmartphone, "Signed-in devices", paths::SESSIONS.to_owned(), "sessions sign out everywhere"),
        tile(Icon::ScrollText, "Security log", paths::AUDIT.to_owned(), "audit who sign-ins refused history"),
    ];
    let metrics = vec![tile(Icon::History, "Activity", paths::OPERATIONS.to_owned(), "operations log history changes")];
    [("Sites", sites), ("Files", files), ("Security", security), ("Metrics", metrics)]
        .into_iter()
        .filter(|(_, tiles)| !tiles.is_empty())
        .map(|(title, tiles)| TileGroup { title, tiles })
        .collect()
}

/// PHP settings belong to an account and a version: the tile leads to the newest, or to the account if PHP is not there yet.
fn php_tile(card: &AccountCard) -> Tile {
    let versions: Vec<String> = card.php_versions.iter().map(ToString::to_string).collect();
    let href =
        card.php_versions.first().map_or_else(|| paths::account(card.account.id), |version| paths::account_php(card.account.id, *version));
    let note = (!versions.is_empty()).then(|| versions.join(", "));
    Tile { note, ..tile(Icon::FileCode, "PHP", href, "version memory limit workers settings") }
}

fn usages(model: &HomeClient) -> Fragment {
    let html = html! {
        div.status-slot #(USAGE) {
            @if !model.usage.is_empty() {
                section.card { header.card-head { h2 { "Usage" } } div.card-body { (usage(&model.usage)) } }
            }
        }
    };
    Fragment::new(USAGE, html)
}

fn accounts(model: &HomeClient) -> Fragment {
    Fragment::new(ACCOUNTS, html! { div.stack.status-slot #(ACCOUNTS) { @for account in &model.accounts { (account_card(account)) } } })
}

fn account_card(card: &AccountCard) -> Markup {
    let versions: Vec<String> = card.php_versions.iter().map(ToString::to_string).collect();
    let account = &card.account;
    let mut facts = vec![("Server", kv::text(&card.hostname)), ("Sites", kv::text(stat::counted(account.sites, "site", "sites")))];
    if !versions.is_empty() {
        facts.push(("PHP", kv::text(versions.join(", "))));
    }
    html! {
        section.card {
            header.card-head { h2 { "Account " a.inline-link href=(paths::account(account.id)) { (account.user) } } (account.badge()) }
            div.card-body.stack.is-tight {
                @if let Some(progress) = &account.progress { (progress::progress(progress)) }
                @else if let Some(failure) = &account.failure { (note::failure_line(failure)) }
                @else if let Some(waiting) = &account.waiting { (note::waiting_line(waiting)) }
                (kv::list(&facts))
            }
        }
    }
}

fn operations(model: &HomeClient) -> Fragment {
    Fragment::new(OPERATIONS, operation::feed(OPERATIONS, "Activity", &model.operations, Some(paths::OPERATIONS), model.now))
}
