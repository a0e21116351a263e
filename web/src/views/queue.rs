//! A server's queue: what waits and why, in which order; and what admins do about it.

use jiff::Timestamp;
use maud::{Markup, html};
use shared::ids::{OperationId, ServerId};
use shared::names::ServerName;

use super::components::badge::{self, Badge, Tone};
use super::components::button::{self, Size, Weight};
use super::components::confirm::{Ask, ask};
use super::components::icon::Icon;
use super::components::stat::{Stat, count, stats};
use super::components::table::{Column, detail, table};
use super::components::toast::Toast;
use super::components::{empty_state, pager, reference, time};
use super::fragment::Fragment;
use super::layout::{self, Nav, Page, Viewer};
use super::listing::Listing;
use super::model::AccountRef;
use super::server::{Reach, reach};
use crate::paths;

/// The page's model.
#[derive(Debug, Clone)]
pub struct QueueModel {
    /// What time it is.
    pub now: Timestamp,
    /// The server.
    pub id: ServerId,
    /// Its name.
    pub name: ServerName,
    /// Whether it answers.
    pub reach: Reach,
    /// Since when nothing new is sent to it, if so.
    pub paused_since: Option<Timestamp>,
    /// Jobs that wait to be sent.
    pub queued: u64,
    /// Jobs the server has.
    pub begun: u64,
    /// When the oldest of them was asked for.
    pub oldest: Option<Timestamp>,
    /// What is shown.
    pub listing: Listing,
    /// This page's requests: what the server has first, then in the order in which they go out.
    pub rows: Vec<Line>,
    /// The live stream.
    pub live: Option<String>,
    /// A message.
    pub toast: Option<Toast>,
}

/// Where a request stands in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It waits to be sent.
    Waits,
    /// The server has it, and has not begun.
    Sent,
    /// The server is at work.
    Working,
    /// The server waits for something to be mended.
    Blocked,
}

/// How soon it goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// After the others.
    Low,
    /// In turn.
    Normal,
    /// Before the others.
    High,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its id.
    pub id: OperationId,
    /// What was asked for, such as `Create site`.
    pub action: String,
    /// Of what.
    pub name: String,
    /// Of which account, if it is still there.
    pub account: Option<AccountRef>,
    /// Who asked.
    pub asked_by: String,
    /// When.
    pub asked_at: Timestamp,
    /// When the server was sent it.
    pub sent_at: Option<Timestamp>,
    /// Where it stands.
    pub standing: Standing,
    /// How soon it goes out.
    pub urgency: Urgency,
    /// Why it is not done yet, a sentence.
    pub why: String,
    /// Whether it can be taken back.
    pub can_cancel: bool,
}

const HEAD: &str = "queue-head";
const STATS: &str = "queue-stats";

/// The DOM id of the whole list.
#[must_use]
pub const fn container_id() -> &'static str {
    "queue-list"
}

const COLUMNS: &[Column] = &[
    Column::new("Change").class("main"),
    Column::new("State"),
    Column::new("Account"),
    Column::new("Asked by").class("wide"),
    Column::new("Asked"),
    Column::actions(),
];

/// The page.
#[must_use]
pub fn queue_page(viewer: &Viewer, model: &QueueModel) -> Markup {
    let body = html! {
        (head(model).html)
        (figures(model).html)
        section.card { (container(model).html) }
    };
    let page = Page::new(format!("Queue of {}", model.name), Nav::Servers, body)
        .below("Servers", paths::SERVERS)
        .below(model.name.as_str(), paths::server(model.id))
        .live(model.live.as_deref(), !model.rows.is_empty())
        .toast(model.toast.clone());
    layout::page(viewer, &page)
}

/// The parts above the list.
#[must_use]
pub fn parts(model: &QueueModel) -> Vec<Fragment> {
    vec![head(model), figures(model)]
}

fn head(model: &QueueModel) -> Fragment {
    let title = html! { "Queue of " (model.name) };
    let line = html! { "What waits for this server, and why. What it has been sent, it finishes." };
    let actions = html! {
        span.reach { (reach(model.reach, 0, model.now)) }
        @if model.paused_since.is_some() {
            (button::post(Size::Normal, Icon::RotateCw, "Resume", &paths::server_queue_resume(model.id)))
        } @else {
            (button::link(Weight::Normal, Some(Icon::Pause), "Pause", &paths::server_queue_pause(model.id)))
        }
    };
    let html = html! {
        div.stack #(HEAD) {
            (layout::page_head(&title, &line, &actions))
            @if let Some(since) = model.paused_since {
                div.note data-state=(Tone::Warn) role="status" {
                    (Icon::Pause)
                    div { b { "This queue is paused since " (time::clock(since, model.now)) "." } " Nothing new is sent until it is resumed. Nothing is lost." }
                }
            }
        }
    };
    Fragment::new(HEAD, html)
}

fn figures(model: &QueueModel) -> Fragment {
    let number = |value: u64| html! { @if value > 0 { (count(value)) } @else { span.none { "none" } } };
    let items = [
        Stat { label: "Jobs waiting to be sent", value: number(model.queued), note: None },
        Stat { label: "Jobs on the server", value: number(model.begun), note: None },
        Stat {
            label: "Oldest",
            value: html! { @if let Some(at) = model.oldest { (time::ago(at, model.now)) } @else { span.none { "none" } } },
            note: None,
        },
    ];
    Fragment::new(STATS, stats(STATS, &items))
}

/// The whole list.
#[must_use]
pub fn container(model: &QueueModel) -> Fragment {
    let rows = html! { @for row in &model.rows { (row_fragment(row, model.now).html) } };
    let html = html! {
        div #(container_id()) {
            @if model.rows.is_empty() {
                (empty_state::empty_state(Icon::ListChecks, "Nothing waits", "Every change for this server has been carried out.", &layout::nothing()))
            } @else {
                (table("Queue", COLUMNS, None, &rows))
            }
            (pager::pager(&model.listing))
        }
    };
    Fragment::new(container_id(), html)
}

/// Each row.
#[must_use]
pub fn rows(model: &QueueModel) -> Vec<Fragment> {
    model.rows.iter().map(|row| row_fragment(row, model.now)).collect()
}

fn badge_of(standing: Standing) -> Badge {
    match standing {
        Standing::Waits => badge::WAITING,
        Standing::Sent => Badge { tone: Tone::Work, icon: Icon::LoaderCircle, label: "Sent" },
        Standing::Working => Badge { tone: Tone::Work, icon: Icon::LoaderCircle, label: "Working" },
        Standing::Blocked => Badge { tone: Tone::Warn, icon: Icon::Clock, label: "Blocked" },
    }
}

fn row_fragment(row: &Line, now: Timestamp) -> Fragment {
    let id = format!("queued-{}", row.id);
    let about = format!("{} {}", row.action, row.name);
    let html = html! {
        tbody #(id) {
            tr {
                td.main {
                    a.name href=(paths::operation(row.id)) { (row.action) " " (row.name) }
                    @match row.urgency {
                        Urgency::High => { " " span.chip { "goes out sooner" } }
                        Urgency::Low => { " " span.chip { "goes out later" } }
                        Urgency::Normal => {}
                    }
                }
                td.nowrap { (badge_of(row.standing)) @if let Some(at) = row.sent_at { " " small { "since " (time::clock(at, now)) } } }
                td data-label="Account" { @if let Some(account) = &row.account { (reference::account(account)) } @else { span.muted { "gone" } } }
                td.wide.nowrap data-label="Asked by" { (row.asked_by) }
                td.nowrap data-label="Asked" { (time::ago(row.asked_at, now)) }
                td.act {
                    div.row {
                        @if row.standing == Standing::Waits {
                            @if row.urgency != Urgency::High { (button::post_about(Icon::ArrowUp, "Sooner", &about, &paths::operation_sooner(row.id))) }
                            @if row.urgency != Urgency::Low { (button::post_about(Icon::ArrowDown, "Later", &about, &paths::operation_later(row.id))) }
                        }
                        @if row.can_cancel { (button::small_link_about(Some(Icon::X), "Cancel", &about, &paths::operation_cancel(row.id))) }
                    }
                }
            }
            (detail(COLUMNS.len(), &html! { span.muted { (row.why) } }))
        }
    };
    Fragment::new(id, html)
}

/// The question before a queue is paused.
#[must_use]
pub fn pause_page(viewer: &Viewer, id: ServerId, name: &ServerName) -> Markup {
    let question = format!("Pause the queue of {name}?");
    let card = ask(&Ask {
        question: &question,
        consequences: vec![
            "Nothing new is sent to this server until you resume it. Clients see that their changes wait, and since when.".to_owned(),
            "What the server has been sent, it finishes. Its sites go on serving.".to_owned(),
        ],
        button: "Pause queue",
        action: &paths::server_queue_pause(id),
        cancel: &paths::server_queue(id),
    });
    let body = html! { (layout::page_head(&html! { "Pause queue" }, &html! { (name) }, &layout::nothing())) (card) };
    let page = Page::new("Pause queue", Nav::Servers, body).below("Servers", paths::SERVERS).below(name.as_str(), paths::server(id));
    layout::page(viewer, &page)
}

/// The question's model.
#[derive(Debug, Clone)]
pub struct CancelModel {
    /// The request.
    pub id: OperationId,
    /// What was asked for, such as `Create site shop.example`.
    pub title: String,
}

/// The question before a request is taken back.
#[must_use]
pub fn cancel_page(viewer: &Viewer, model: &CancelModel) -> Markup {
    let question = format!("Cancel \u{201c}{}\u{201d}?", model.title);
    let card = ask(&Ask {
        question: &question,
        consequences: vec![
            "It has not been sent, so nothing was changed on the server.".to_owned(),
            "What it concerns is again as it was last applied. What was never applied goes.".to_owned(),
        ],
        button: "Cancel operation",
        action: &paths::operation_cancel(model.id),
        cancel: &paths::operation(model.id),
    });
    let body = html! { (layout::page_head(&html! { "Cancel operation" }, &html! { (model.title) }, &layout::nothing())) (card) };
    let page = Page::new("Cancel operation", Nav::Operations, body)
        .below("Operations", paths::OPERATIONS)
        .below(&model.title, paths::operation(model.id));
    layout::page(viewer, &page)
}
