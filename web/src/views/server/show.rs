//! A server's page.

use jiff::Timestamp;
use maud::{Markup, html};
use shared::names::PhpVersion;
use shared::role::Role;

use super::facts::facts;
use super::health::{Health, health};
use super::load::{History, charts};
use super::{Load, Reach, Row, endings, reach, roles};
use crate::paths;
use crate::views::components::badge::Tone;
use crate::views::components::button::{self, Size, Weight};
use crate::views::components::icon::Icon;
use crate::views::components::menu::menu;
use crate::views::components::stat::{Stat, count, size_mib, stats};
use crate::views::components::toast::Toast;
use crate::views::components::usage::{Usage, usage};
use crate::views::components::{note, progress, time};
use crate::views::fragment::Fragment;
use crate::views::layout::{self, Nav, Page, Viewer};
use crate::views::model::{Failure, Progress, Waiting};
use crate::views::{account, operation};

/// The page's model.
#[derive(Debug, Clone)]
pub struct ShowModel {
    /// What time it is.
    pub now: Timestamp,
    /// The server.
    pub server: Row,
    /// The health of each of its roles, as it says; nothing before it has said anything.
    pub health: Vec<(Role, Health)>,
    /// Its PHP versions, newest first.
    pub php_versions: Vec<PhpVersion>,
    /// Such as `Debian GNU/Linux 12 (bookworm)`.
    pub os: String,
    /// Its kernel.
    pub kernel: String,
    /// Its processors; 0 before it has said anything.
    pub cpus: u32,
    /// Its memory in MiB; 0 before it has said anything.
    pub memory_mib: u64,
    /// The size of its disk in MiB; 0 before it has said anything.
    pub disk_mib: u64,
    /// Seconds since it started.
    pub uptime_s: Option<u64>,
    /// What else was told, by its label; empty values are left out.
    pub places: Vec<(&'static str, String)>,
    /// How it fared lately.
    pub history: History,
    /// Jobs under way on it.
    pub jobs_working: u64,
    /// When it was added.
    pub created_at: Timestamp,
    /// What there is to say of updates of its worker.
    pub update: Update,
    /// Its newest accounts.
    pub accounts: Vec<account::Row>,
    /// Its newest operations, newest first.
    pub operations: Vec<operation::Row>,
    /// The live stream.
    pub live: Option<String>,
    /// A message.
    pub toast: Option<Toast>,
}

/// Updates of a server's worker.
#[derive(Debug, Clone)]
pub enum Update {
    /// Nothing to say.
    None,
    /// This panel carries a newer one.
    Offered {
        /// Its version.
        version: String,
        /// Why the last try failed, if it did.
        failed: Option<Failure>,
    },
    /// It waits.
    Waiting(Waiting),
    /// It is being updated.
    UnderWay(Progress),
}

const HEAD: &str = "server-head";
const STATUS: &str = "server-status";
const STATS: &str = "server-stats";
const USAGE: &str = "server-usage";
const OPERATIONS: &str = "server-operations";
const ACCOUNTS: &str = "server-accounts";

/// The page.
#[must_use]
pub fn show_page(viewer: &Viewer, model: &ShowModel) -> Markup {
    let body = html! {
        (head(model).html)
        (status(model).html)
        (figures(model).html)
        div.split {
            div.stack { (past(model).html) (health(model).html) (operations(model).html) }
            aside.stack { (usages(model).html) (facts(model).html) }
        }
        (accounts(model).html)
    };
    let page = Page::new(model.server.title(), Nav::Servers, body)
        .below("Servers", paths::SERVERS)
        .live(model.live.as_deref(), matches!(model.server.reach, Reach::WaitingToEnrol { .. }))
        .toast(model.toast.clone());
    layout::page(viewer, &page)
}

/// The parts that change while the page is open.
#[must_use]
pub fn show_fragments(model: &ShowModel) -> Vec<Fragment> {
    vec![
        head(model),
        status(model),
        figures(model),
        past(model),
        health(model),
        operations(model),
        usages(model),
        facts(model),
        accounts(model),
    ]
}

fn head(model: &ShowModel) -> Fragment {
    let server = &model.server;
    let title = html! { (server.title()) " " @if server.label.is_some() { small.mono { (server.name) } " " } (roles(&server.roles)) };
    let line = html! { (server.hostname) @if !server.active { ". Takes no new accounts." } };
    let state = html! {
        span.reach { (reach(server.reach, 0, model.now)) }
        (button::link(Weight::Normal, Some(Icon::ListChecks), "Queue", &paths::server_queue(server.id)))
        (button::link(Weight::Normal, Some(Icon::Pencil), "Settings", &paths::server_edit(server.id)))
        (menu("server-menu", "More actions", false, &endings(server)))
    };
    Fragment::new(HEAD, html! { div #(HEAD) { (layout::page_head(&title, &line, &state)) } })
}

fn status(model: &ShowModel) -> Fragment {
    let server = &model.server;
    let html = html! {
        div.stack.status-slot #(STATUS) {
            @if let Some(since) = server.paused_since {
                div.note data-state=(Tone::Warn) role="status" {
                    (Icon::Pause)
                    div { b { "Changes for " (server.name) " are paused since " (time::clock(since, model.now)) "." } " Nothing new is sent until its queue is resumed." }
                    div.row { (button::post(Size::Small, Icon::RotateCw, "Resume", &paths::server_queue_resume(server.id))) }
                }
            }
            @match server.reach {
                Reach::Online { .. } => (update(model)),
                Reach::Offline { since } => {
                    div.note data-state=(Tone::Bad) role="status" {
                        (Icon::Unplug)
                        div {
                            p { b { (server.name) " is offline since " (time::clock(since, model.now)) "." } }
                            p { "Changes for it wait and are applied in order when it returns. Its sites may still be serving." }
                            p { "If the host was made anew, it has to join again; that shuts out the keys it had." }
                        }
                        div.row { (button::post(Size::Small, Icon::KeyRound, "Generate installation script", &paths::server_token(server.id))) }
                    }
                }
                Reach::ShutOut { since } => {
                    div.note data-state=(Tone::Bad) role="status" {
                        (Icon::Unplug)
                        div {
                            p { b { "The worker of " (server.name) " is shut out since " (time::clock(since, model.now)) "." } }
                            p { "Changes for it wait and are applied in order when a worker has joined again. Its sites may still be serving." }
                        }
                        div.row { (button::post(Size::Small, Icon::KeyRound, "Generate installation script", &paths::server_token(server.id))) }
                    }
                }
                Reach::WaitingToEnrol { token_expires_at } if token_expires_at > model.now => {
                    (not_joined(server, "Its worker has not called yet.", "Run the installation script on the host; this page turns green by itself. If the command is lost, generate a new one: the old one stops working."))
                }
                Reach::WaitingToEnrol { .. } => {
                    (not_joined(server, "Its installation script has ended before the worker called.", "Nothing was changed. Generate a new one and run it on the host."))
                }
            }
        }
    };
    Fragment::new(STATUS, html)
}

fn update(model: &ShowModel) -> Markup {
    let server = &model.server;
    html! {
        @match &model.update {
            Update::None => {}
            Update::Offered { version, failed } => {
                @if let Some(failed) = failed { (note::failure(failed)) }
                div.note data-state=(Tone::Warn) role="status" {
                    (Icon::Info)
                    div {
                        b { "Worker " (version) " is available." }
                        " Sites keep serving while it is updated, and it goes back by itself if the new one does not work."
                    }
                    div.row { (button::post(Size::Small, Icon::RotateCw, "Update", &paths::server_update(server.id))) }
                }
            }
            Update::Waiting(waiting) => (note::waiting(waiting)),
            Update::UnderWay(steps) => {
                div.note data-state=(Tone::Work) role="status" {
                    (Icon::LoaderCircle.spinning())
                    div { b { (steps.label) } (progress::progress(steps)) }
                }
            }
        }
    }
}

fn not_joined(server: &Row, title: &str, text: &str) -> Markup {
    html! {
        div.note data-state=(Tone::Warn) role="status" {
            (Icon::Clock)
            div { b { (title) } " " (text) }
            div.row { (button::post(Size::Small, Icon::KeyRound, "Generate installation script", &paths::server_token(server.id))) }
        }
    }
}

fn figures(model: &ShowModel) -> Fragment {
    let server = &model.server;
    let none = || html! { small { "no data" } };
    let load = server.load.map_or_else(none, |load| html! { (format!("{:.2}", load.load1)) " " small { "on " (load.cpus) " cores" } });
    let queue = html! { @if server.jobs_waiting == 0 { span.none { "none" } } @else { (count(server.jobs_waiting)) } };
    let most = server.max_accounts.map(|most| html! { "of " (count(most)) });
    let items = [
        Stat { label: "Load", value: load, note: None },
        Stat { label: "Accounts", value: html! { (count(server.accounts)) }, note: most },
        Stat {
            label: "Changes waiting",
            value: queue,
            note: (model.jobs_working > 0).then(|| html! { (count(model.jobs_working)) " under way" }),
        },
        Stat { label: "Up for", value: model.uptime_s.map_or_else(none, |seconds| html! { (time::duration_s(seconds)) }), note: None },
    ];
    Fragment::new(STATS, stats(STATS, &items))
}

fn past(model: &ShowModel) -> Fragment {
    let server = &model.server;
    charts(server.id, server.name.as_str(), &model.history, server.load.map(|load| (load.memory_mib, load.disk_mib)))
}

fn usages(model: &ShowModel) -> Fragment {
    let html = html! {
        section.card #(USAGE) {
            header.card-head { h2 { "Usage" } }
            div.card-body {
                @if let Some(load) = model.server.load { (usage(&load_usage(load))) } @else { p.muted.small { "No data while it does not answer." } }
            }
        }
    };
    Fragment::new(USAGE, html)
}

fn load_usage(load: Load) -> [Usage; 2] {
    let line = |label: &str, used: u64, limit: u64| Usage {
        label: label.to_owned(),
        used,
        limit: Some(limit),
        text: Some(format!("{} of {}", size_mib(used), size_mib(limit))),
    };
    [line("Memory", load.memory_used_mib, load.memory_mib), line("Disk", load.disk_used_mib, load.disk_mib)]
}

fn accounts(model: &ShowModel) -> Fragment {
    let html = html! {
        div.status-slot #(ACCOUNTS) {
            @if !model.accounts.is_empty() {
                section.card {
                    header.card-head { h2 { "Accounts" } a.small.inline-link href=(paths::with_query(paths::ACCOUNTS, [("server", model.server.name.as_str())])) { "All" } }
                    (account::table_of(&model.accounts, account::Place::Server, None, model.now))
                }
            }
        }
    };
    Fragment::new(ACCOUNTS, html)
}

fn operations(model: &ShowModel) -> Fragment {
    let all = paths::with_query(paths::OPERATIONS, [("server", model.server.name.as_str())]);
    Fragment::new(OPERATIONS, operation::feed(OPERATIONS, "Recent operations", &model.operations, Some(&all), model.now))
}
