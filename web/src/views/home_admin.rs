//! An admin's home: the fleet at a glance, and what wants a decision.

use jiff::Timestamp;
use maud::{Markup, html};
use shared::ids::ServerId;
use shared::names::ServerName;

use super::components::badge::Tone;
use super::components::button::{self, Size, Weight};
use super::components::chart::{Chart, Series, chart};
use super::components::icon::Icon;
use super::components::stat::{Stat, count, stats};
use super::components::table::{Column, table};
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
    /// Servers that answer, and on which a role's daemons do not run.
    pub servers_unhealthy: u64,
    /// Servers whose queue is paused.
    pub servers_paused: u64,
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
    /// How many operations ended in each of the last minutes, the present one last.
    pub by_minute: Vec<u64>,
    /// Security events that nobody has seen, and since when there are any.
    pub security: Option<(u64, Timestamp)>,
    /// Queues that hold anything, the oldest first; a few.
    pub queues: Vec<Queue>,
    /// How many queues hold anything.
    pub queues_all: u64,
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

/// A server's queue.
#[derive(Debug, Clone)]
pub struct Queue {
    /// The server.
    pub id: ServerId,
    /// Its name.
    pub name: ServerName,
    /// Jobs that wait to be sent.
    pub queued: u64,
    /// Jobs the server has.
    pub begun: u64,
    /// When the oldest was asked for.
    pub oldest: Timestamp,
    /// Since when nothing new is sent, if so.
    pub paused_since: Option<Timestamp>,
    /// Since when the server does not answer, if so.
    pub offline_since: Option<Timestamp>,
}

const STATS: &str = "home-stats";
const SECURITY: &str = "home-security";
const MINUTES: &str = "home-minutes";
const QUEUES: &str = "home-queues";
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
        (security(model).html)
        (failures(model).html)
        div.split.is-wide {
            div.stack { (minutes(model).html) (queues(model).html) (servers(model).html) }
            aside.stack { (operations(model).html) }
        }
    };
    let busy = model.figures.operations_working > 0;
    layout::page(viewer, &Page::new("Overview", Nav::Home, body).live(model.live.as_deref(), busy).toast(model.toast.clone()))
}

/// The servers that are shown.
#[must_use]
pub fn rows(model: &HomeAdmin) -> Vec<Fragment> {
    model.servers.iter().map(|row| server::row_fragment(row, model.now)).collect()
}

/// The parts that change while the page is open, besides the servers.
#[must_use]
pub fn fragments(model: &HomeAdmin) -> Vec<Fragment> {
    vec![figures(model), stuck(model), security(model), failures(model), minutes(model), queues(model), operations(model)]
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
    let offline = f.servers.saturating_sub(f.servers_online + f.servers_waiting);
    let servers_note = html! {
        @if f.servers_unhealthy > 0 { a.bad href=(server::Mark::Unhealthy.list()) { (count(f.servers_unhealthy)) " not healthy" } " " }
        @if f.servers_paused > 0 { a.warn href=(server::Mark::Paused.list()) { (count(f.servers_paused)) " paused" } " " }
        @if offline > 0 { a.bad href=(servers_in("offline")) { (count(offline)) " offline" } } @else if f.servers_waiting > 0 { a href=(servers_in("waiting")) { (count(f.servers_waiting)) " waiting to enrol" } } @else if f.servers > 0 { "all answer" }
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
        Stat { label: "Operations per minute", value: html! { (per_minute(&model.by_minute)) }, note: None },
        Stat { label: "Waiting", value: number(f.operations_waiting), note: waiting_note },
        Stat { label: "Need a decision", value: alarm(f.operations_failed), note: None },
    ];
    Fragment::new(STATS, stats(STATS, &items))
}

fn servers_in(state: &str) -> String {
    paths::with_query(paths::SERVERS, [("state", state)])
}

/// Over the last five whole minutes; one decimal below ten.
fn per_minute(by_minute: &[u64]) -> String {
    let whole = &by_minute[..by_minute.len().saturating_sub(1)];
    let last = &whole[whole.len().saturating_sub(5)..];
    let tenths = last.iter().sum::<u64>() * 10 / (last.len() as u64).max(1);
    if tenths >= 100 || tenths.is_multiple_of(10) { count(tenths / 10) } else { format!("{}.{}", tenths / 10, tenths % 10) }
}

/// How many operations ended in each minute of the last hour.
fn minutes(model: &HomeAdmin) -> Fragment {
    let most = model.by_minute.iter().copied().max().unwrap_or(0);
    let before = i64::try_from(model.by_minute.len()).unwrap_or(i64::MAX).saturating_sub(1);
    let from = Timestamp::from_second((model.now.as_second() / 60 - before) * 60).unwrap_or(model.now);
    let of = Chart {
        title: "Operations per minute, last hour".to_owned(),
        from,
        step_s: 60,
        series: Series { label: "Finished", values: model.by_minute.iter().map(|minute| Some(as_f64(*minute))).collect() },
        second: None,
        // Thirds of it are whole numbers.
        top: Some(as_f64(most.div_ceil(3).max(1) * 3)),
        unit: |value| format!("{value:.0}"),
    };
    let html = html! {
        section.card.flush #(MINUTES) {
            header.card-head { h2 { "Operations per minute" } small { "last hour" } }
            div.card-body { (chart(&of)) }
        }
    };
    Fragment::new(MINUTES, html)
}

fn as_f64(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

fn security(model: &HomeAdmin) -> Fragment {
    let html = html! {
        div.status-slot #(SECURITY) {
            @if let Some((unseen, since)) = model.security {
                div.note data-state=(Tone::Bad) role="status" {
                    (Icon::LockKeyhole)
                    div {
                        b { (super::components::stat::counted(unseen, "security event", "security events")) " since " (time::clock(since, model.now)) "." }
                        " Something was refused on the bus; nothing was let through."
                    }
                    div.row { (button::small_link(None, "Look", &paths::with_query(paths::SECURITY, [("state", "unseen")]))) }
                }
            }
        }
    };
    Fragment::new(SECURITY, html)
}

const QUEUE_COLUMNS: &[Column] = &[
    Column::new("Server").class("main"),
    Column::new("Waiting").class("num"),
    Column::new("On the server").class("num"),
    Column::new("Oldest"),
    Column::new("Why"),
];

fn queues(model: &HomeAdmin) -> Fragment {
    let rows = html! { @for queue in &model.queues { (queue_row(queue, model.now)) } };
    let html = html! {
        section.card #(QUEUES) {
            header.card-head {
                h2 { "Queues" }
                @if model.queues_all > 0 { span.count { (count(model.queues_all)) } }
                @if model.queues_all > model.queues.len() as u64 {
                    a.small href=(paths::with_query(paths::SERVERS, [("sort", "waiting")])) { "Servers by what waits" }
                }
            }
            @if model.queues.is_empty() {
                div.card-body { p.muted.small { "Nothing waits for any server." } }
            } @else {
                (table("Queues", QUEUE_COLUMNS, None, &rows))
            }
        }
    };
    Fragment::new(QUEUES, html)
}

fn queue_row(queue: &Queue, now: Timestamp) -> Markup {
    html! {
        tbody {
            tr {
                td.main { a.name href=(paths::server_queue(queue.id)) { (queue.name) } }
                td.num data-label="Waiting" { (count(queue.queued)) }
                td.num data-label="On the server" { (count(queue.begun)) }
                td.nowrap data-label="Oldest" { (time::ago(queue.oldest, now)) }
                td data-label="Why" {
                    @if let Some(since) = queue.paused_since { span.warn { "paused since " (time::clock(since, now)) } }
                    @else if let Some(since) = queue.offline_since { span.bad { "offline since " (time::clock(since, now)) } }
                    @else { span.muted { "at work" } }
                }
            }
        }
    }
}

fn stuck(model: &HomeAdmin) -> Fragment {
    let html = html! {
        div.status-slot #(STUCK) {
            @if let Some(since) = model.stuck_since {
                div.note data-state=(Tone::Bad) role="status" {
                    (Icon::Unplug)
                    div {
                        p { b { "Changes have been waiting to be sent since " (time::clock(since, model.now)) "." } }
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
            header.card-head { h2 { "Servers" } a.small.inline-link href=(paths::SERVERS) { "All " (count(model.figures.servers)) } }
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
