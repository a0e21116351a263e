//! An admin's home: the fleet at a glance, and what wants a decision.

use jiff::Timestamp;
use maud::{Markup, html};

use super::components::badge::Tone;
use super::components::button::{self, Size, Weight};
use super::components::icon::Icon;
use super::components::stat::{Stat, count, stats};
use super::components::time;
use super::components::toast::Toast;
use super::fragment::Fragment;
use super::layout::{self, Nav, Page, Viewer};
use super::{operation, server};
use crate::paths;

/// The figures at the top.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Servers that answer.
    pub servers_online: u64,
    /// Servers that have enrolled.
    pub servers: u64,
    /// Servers that wait to enrol.
    pub servers_waiting: u64,
    /// Sites.
    pub sites: u64,
    /// Sites whose last change failed.
    pub sites_failed: u64,
    /// Accounts.
    pub accounts: u64,
    /// Clients.
    pub clients: u64,
    /// Operations under way.
    pub operations_working: u64,
    /// Operations that wait.
    pub operations_waiting: u64,
    /// Operations that failed and want a decision.
    pub operations_failed: u64,
}

/// The page's model.
#[derive(Debug, Clone)]
pub struct HomeAdmin {
    /// What time it is.
    pub now: Timestamp,
    /// The figures.
    pub figures: Figures,
    /// Since when the longest-waiting operation waits.
    pub oldest_waiting: Option<Timestamp>,
    /// Since when changes wait although nothing is in their way, if so.
    pub stuck_since: Option<Timestamp>,
    /// Failures that want a decision, newest first; a few.
    pub failures: Vec<operation::Row>,
    /// The servers, trouble first; a few.
    pub servers: Vec<server::Row>,
    /// The newest operations, newest first; a few.
    pub operations: Vec<operation::Row>,
    /// The live stream.
    pub live: Option<String>,
    /// A message.
    pub toast: Option<Toast>,
}

const STATS: &str = "home-stats";
const STUCK: &str = "home-stuck";
const FAILURES: &str = "home-failures";
const SERVERS: &str = "home-servers";
const OPERATIONS: &str = "home-operations";

/// The page.
#[must_use]
pub fn page(viewer: &Viewer, model: &HomeAdmin) -> Markup {
    let line = html! { "The fleet as it is right now." };
    let actions = html! {
        (button::link(Weight::Normal, Some(Icon::Plus), "Create an account", paths::ACCOUNT_NEW))
        (button::link(Weight::Normal, Some(Icon::Plus), "Add a server", paths::SERVER_NEW))
    };
    let body = html! {
        (layout::page_head(&html! { "Overview" }, &line, &actions))
        @if model.figures.servers == 0 { (first_steps(model)) }
        (figures(model).html)
        (stuck(model).html)
        (failures(model).html)
        div.split.is-wide {
            div.stack { (servers(model).html) }
            aside.stack { (operations(model).html) }
        }
    };
    let busy = model.figures.operations_working > 0;
    layout::page(viewer, &Page::new("Overview", Nav::Home, body).live(model.live.as_deref(), busy).toast(model.toast.clone()))
}

/// The parts that change while the page is open.
#[must_use]
pub fn fragments(model: &HomeAdmin) -> Vec<Fragment> {
    let rows = model.servers.iter().map(|row| server::row_fragment(row, model.now));
    rows.chain([figures(model), stuck(model), failures(model), operations(model)]).collect()
}

/// The list of servers, for when rows came or went.
#[must_use]
pub fn container(model: &HomeAdmin) -> Fragment {
    servers(model)
}

fn figures(model: &HomeAdmin) -> Fragment {
    let f = model.figures;
    let number = |value: u64| html! { @if value > 0 { (count(value)) } @else { span.none { "none" } } };
    let alarm = |value: u64| html! { @if value > 0 { span.bad { (count(value)) } } @else { span.none { "none" } } };
    let offline = f.servers - f.servers_online.min(f.servers);
    let servers_note = html! {
        @if offline > 0 { span.bad { (count(offline)) " offline" } } @else if f.servers_waiting > 0 { (count(f.servers_waiting)) " waiting to enrol" } @else if f.servers > 0 { "all answer" }
    };
    let online = html! { (number(f.servers_online)) @if f.servers > 0 { " " small { "of " (count(f.servers)) } } };
    let waiting_note = model.oldest_waiting.map(|at| html! { "oldest " (time::ago(at, model.now)) });
    let items = [
        Stat { label: "Servers online", value: online, note: Some(servers_note) },
        Stat {
            label: "Sites",
            value: number(f.sites),
            note: (f.sites_failed > 0).then(|| html! { span.bad { (count(f.sites_failed)) " failed" } }),
        },
        Stat {
            label: "Accounts",
            value: number(f.accounts),
            note: Some(html! { (super::components::stat::counted(f.clients, "client", "clients")) }),
        },
        Stat { label: "Operations under way", value: number(f.operations_working), note: None },
        Stat { label: "Waiting", value: number(f.operations_waiting), note: waiting_note },
        Stat { label: "Need a decision", value: alarm(f.operations_failed), note: None },
    ];
    Fragment::new(STATS, stats(STATS, &items))
}

fn stuck(model: &HomeAdmin) -> Fragment {
    let html = html! {
        div.status-slot #(STUCK) {
            @if let Some(since) = model.stuck_since {
                div.note data-state=(Tone::Bad) role="status" {
                    (Icon::Unplug)
                    div {
                        p { b { "Changes have been waiting to be sent since " (time::clock(since)) "." } }
                        p { "The bus or the dispatch process does not answer; their logs say why. Sites go on serving, no change is lost, and what waits goes out by itself." }
                    }
                }
            }
        }
    };
    Fragment::new(STUCK, html)
}

fn failures(model: &HomeAdmin) -> Fragment {
    let html = html! {
        div.status-slot #(FAILURES) {
            @if !model.failures.is_empty() {
                section.card {
                    header.card-head {
                        h2 { "Waiting for your decision" }
                        span.count data-state=(Tone::Bad) { (count(model.figures.operations_failed)) }
                        a.small.inline-link href=(paths::with_query(paths::OPERATIONS, [("state", "failed")])) { "All" }
                    }
                    ul.checks { @for row in &model.failures { (failure(row, model.now)) } }
                }
            }
        }
    };
    Fragment::new(FAILURES, html)
}

fn failure(row: &operation::Row, now: Timestamp) -> Markup {
    let badge = row.badge();
    html! {
        li data-state=(badge.tone) {
            (badge.icon)
            div {
                b { (row.name) ": " @if let Some(failure) = &row.failure { (failure.what) } @else { (row.action) " failed" } }
                p {
                    @if let Some(failure) = &row.failure { (failure.changed) " " }
                    (row.action) ", " (time::ago(row.asked_at, now)) @if let Some(server) = &row.server { " on " (server.name) } "."
                }
            }
            span.row {
                @if let Some(action) = row.failure.as_ref().and_then(|failure| failure.retry.as_deref()) {
                    (button::post(Size::Small, Icon::RotateCw, "Retry", action))
                }
                (button::small_link(None, "Review", &paths::operation(row.id)))
            }
        }
    }
}

fn servers(model: &HomeAdmin) -> Fragment {
    let html = html! {
        section.card #(SERVERS) {
            header.card-head { h2 { "Servers" } a.small.inline-link href=(paths::SERVERS) { "All" } }
            @if model.servers.is_empty() {
                div.card-body { p.muted.small { "None yet. Add one to create accounts on it." } }
            } @else {
                (server::table_of(&model.servers, model.now))
            }
        }
    };
    Fragment::new(SERVERS, html)
}

fn operations(model: &HomeAdmin) -> Fragment {
    Fragment::new(OPERATIONS, operation::feed(OPERATIONS, "Recent operations", &model.operations, Some(paths::OPERATIONS), model.now))
}

fn first_steps(model: &HomeAdmin) -> Markup {
    let f = model.figures;
    html! {
        section.card {
            header.card-head { h2 { "First steps" } }
            ul.checks {
                (first_step(f.servers > 0, "Add your first server", "A Debian host. One command on it.", paths::SERVER_NEW))
                (first_step(f.clients > 0, "Create a client", "The person who signs in and manages their sites.", paths::CLIENT_NEW))
                (first_step(f.accounts > 0, "Create an account and its first site", "Needs a server and a client.", paths::ACCOUNT_NEW))
            }
        }
    }
}

fn first_step(done: bool, title: &str, text: &str, href: &str) -> Markup {
    let (state, icon) = if done { ("ok", Icon::CircleCheck) } else { ("wait", Icon::CircleDashed) };
    html! {
        li data-state=(state) {
            (icon)
            div { b { (title) } p { (text) } }
            @if !done { (button::small_link(None, "Start", href)) }
        }
    }
}
