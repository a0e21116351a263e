//! Updates of all workers: what is offered, and how the newest rollout stands.

use jiff::Timestamp;
use maud::{Markup, html};
use shared::ids::{OperationId, ServerId};
use shared::names::ServerName;
use shared::role::Role;

use crate::paths;
use crate::views::components::badge::{self, Badge, Tone};
use crate::views::components::button::{self, Size, Weight};
use crate::views::components::form_field::Field;
use crate::views::components::icon::Icon;
use crate::views::components::stat::{count, counted};
use crate::views::components::table::{Column, detail, table};
use crate::views::components::toast::Toast;
use crate::views::components::{empty_state, note, progress, time};
use crate::views::fragment::Fragment;
use crate::views::layout::{self, Nav, Page, Viewer};
use crate::views::model::{Errors, Failure, Progress, Waiting};

/// The page's model.
#[derive(Debug, Clone)]
pub struct RolloutModel {
    /// What time it is.
    pub now: Timestamp,
    /// The version this panel carries, if it carries any.
    pub offered: Option<String>,
    /// How many servers that are online have an older one.
    pub behind: u64,
    /// How many that are offline have an older one.
    pub offline: u64,
    /// The newest rollout.
    pub rollout: Option<Rollout>,
    /// `at_once` as typed.
    pub at_once: String,
    /// What was wrong with it.
    pub errors: Errors,
    /// The live stream.
    pub live: Option<String>,
    /// A message.
    pub toast: Option<Toast>,
}

/// A rollout.
#[derive(Debug, Clone)]
pub struct Rollout {
    /// The version.
    pub version: String,
    /// How many servers at a time, once the first is well.
    pub at_once: u64,
    /// Its badge.
    pub badge: Badge,
    /// Whether it goes on by itself, or can.
    pub unfinished: bool,
    /// Whether a failure has stopped it.
    pub stopped: bool,
    /// Who asked.
    pub asked_by: String,
    /// When.
    pub asked_at: Timestamp,
    /// The server that holds up the others without having failed, if one does.
    pub hold: Option<Hold>,
    /// How its servers stand.
    pub tally: Tally,
    /// Its servers in their order; of very many, those that say most.
    pub rows: Vec<RolloutRow>,
}

/// Why a server that has not failed holds up the others of its rollout.
#[derive(Debug, Clone)]
pub enum Hold {
    /// It was begun and does not come back.
    Away {
        /// The server.
        server: ServerName,
        /// Since when it is away.
        since: Timestamp,
    },
    /// It has the version, and roles that worked before do not work any more.
    Ailing {
        /// The server.
        server: ServerName,
        /// The roles.
        roles: Vec<Role>,
    },
}

/// How many servers of a rollout stand how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// They have the version.
    pub done: u64,
    /// Begun.
    pub under_way: u64,
    /// Not begun.
    pub waiting: u64,
    /// Passed over.
    pub left_out: u64,
    /// They were tried, and have it not, or not in good health.
    pub failed: u64,
}

impl Tally {
    const fn all(self) -> u64 {
        self.done + self.under_way + self.waiting + self.left_out + self.failed
    }
}

impl Rollout {
    /// The badge of one that goes on.
    pub const RUNNING: Badge = Badge { tone: Tone::Work, icon: Icon::LoaderCircle, label: "Under way" };
    /// The badge of one that a failure has stopped.
    pub const STOPPED: Badge = Badge { tone: Tone::Bad, icon: Icon::CircleAlert, label: "Stopped" };
    /// The badge of one that a person has ended.
    pub const CANCELLED: Badge = Badge { tone: Tone::Off, icon: Icon::Ban, label: "Cancelled" };
    /// The badge of one that is done.
    pub const DONE: Badge = Badge { tone: Tone::Ok, icon: Icon::CircleCheck, label: "Done" };
}

/// A server of a rollout.
#[derive(Debug, Clone)]
pub struct RolloutRow {
    /// The server.
    pub id: ServerId,
    /// Its name.
    pub name: ServerName,
    /// The version it reports.
    pub version: String,
    /// How it stands.
    pub state: RolloutRowState,
    /// Its operation, once it was begun.
    pub operation: Option<OperationId>,
}

/// How a server of a rollout stands.
#[derive(Debug, Clone)]
pub enum RolloutRowState {
    /// Not begun, and how many of the rollout are before it.
    Waiting,
    /// Not begun and passed over, and why, if that still holds.
    LeftOut(Option<LeftOut>),
    /// Begun, and its steps.
    UnderWay(Option<Progress>),
    /// Begun, and what it waits for.
    Held(Waiting),
    /// It has the version.
    Done,
    /// It has the version, and these roles that worked before do not work any more.
    Ailing(Vec<Role>),
    /// It does not have the version, and why.
    Failed(Option<Failure>),
}

/// Why a server of a rollout is passed over.
#[derive(Debug, Clone, Copy)]
pub enum LeftOut {
    /// It does not answer.
    Offline {
        /// Since when.
        since: Timestamp,
    },
    /// An admin has nothing new sent to it.
    Paused {
        /// Since when.
        since: Timestamp,
    },
}

impl RolloutRowState {
    const fn badge(&self) -> Badge {
        match self {
            Self::Waiting | Self::Held(_) => badge::WAITING,
            Self::LeftOut(_) => Badge { tone: Tone::Off, icon: Icon::Ban, label: "Left out" },
            Self::UnderWay(_) => Rollout::RUNNING,
            Self::Done => Rollout::DONE,
            Self::Ailing(_) => Badge { tone: Tone::Bad, icon: Icon::CircleAlert, label: "Not healthy" },
            Self::Failed(_) => Badge { tone: Tone::Bad, icon: Icon::CircleAlert, label: "Failed" },
        }
    }
}

const OFFER: &str = "rollout-offer";
const STATE: &str = "rollout-state";

const COLUMNS: &[Column] = &[Column::new("Server").class("main"), Column::new("State"), Column::new("Version")];

/// The page.
#[must_use]
pub fn rollout_page(viewer: &Viewer, model: &RolloutModel) -> Markup {
    let line = html! { "The worker's newest package on every server, one server first. Sites keep serving meanwhile." };
    let body = html! {
        (layout::page_head(&html! { "Worker updates" }, &line, &layout::nothing()))
        (offer(model).html)
        (state(model).html)
    };
    let busy = model.rollout.as_ref().is_some_and(|rollout| rollout.unfinished && !rollout.stopped);
    let page = Page::new("Updates", Nav::Servers, body)
        .below("Servers", paths::SERVERS)
        .live(model.live.as_deref(), busy)
        .toast(model.toast.clone());
    layout::page(viewer, &page)
}

/// The parts that change while the page is open.
#[must_use]
pub fn rollout_fragments(model: &RolloutModel) -> Vec<Fragment> {
    vec![offer(model), state(model)]
}

fn offer(model: &RolloutModel) -> Fragment {
    let unfinished = model.rollout.as_ref().is_some_and(|rollout| rollout.unfinished);
    let html = html! {
        div.stack #(OFFER) {
            @match &model.offered {
                None => (note::note(Tone::Warn, Icon::TriangleAlert, "This panel carries no worker package.", "Its own package brings one with it.")),
                Some(_) if unfinished => {}
                Some(version) if model.behind == 0 => {
                    (note::note(Tone::Ok, Icon::CircleCheck, "Nothing to update.", &nothing_to_do(version, model.offline)))
                }
                Some(version) => (form(model, version)),
            }
        }
    };
    Fragment::new(OFFER, html)
}

fn nothing_to_do(version: &str, offline: u64) -> String {
    match offline {
        0 => format!("Every server has worker {version}."),
        many => format!("Every server that is online has worker {version}; {} offline.", counted(many, "older one is", "older ones are")),
    }
}

fn form(model: &RolloutModel, version: &str) -> Markup {
    html! {
        form.card.is-narrow method="post" action=(paths::ROLLOUT) {
            header.card-head { h2 { "Update to " (version) } }
            div.card-body.form {
                (note::form_errors(&model.errors))
                p {
                    (counted(model.behind, "server has", "servers have")) " an older worker"
                    @if model.offline > 0 { ". " (counted(model.offline, "more is", "more are")) " offline and left out" }
                    ". One is updated first. Once it answers with the new version and is well, the others follow. After a failure no other is begun."
                }
                (Field::number("at_once", "At a time").value(&model.at_once).unit("servers").error(model.errors.get("at_once"))
                    .help("How many follow at a time, once the first is well."))
            }
            footer.card-foot {
                (button::submit(Weight::Primary, "Update all"))
                (button::link(Weight::Normal, None, "Cancel", paths::SERVERS))
                (note::form_summary(&model.errors))
            }
        }
    }
}

fn state(model: &RolloutModel) -> Fragment {
    let html = html! {
        div.stack #(STATE) {
            @match &model.rollout {
                Some(rollout) => (card(rollout, model.now)),
                None if model.behind > 0 => {
                    section.card {
                        (empty_state::empty_state(Icon::History, "No rollout yet", "What is done here, and how each server took it, is shown here.", &layout::nothing()))
                    }
                }
                None => {}
            }
        }
    };
    Fragment::new(STATE, html)
}

fn card(rollout: &Rollout, now: Timestamp) -> Markup {
    let rows = html! { @for row in &rollout.rows { (row_of(row, now)) } };
    html! {
        section.card {
            header.card-head {
                h2 { "To " (rollout.version) " " (rollout.badge) }
                div.row {
                    @if rollout.stopped { (button::post(Size::Small, Icon::RotateCw, "Resume", paths::ROLLOUT_RESUME)) }
                    @if rollout.unfinished { (button::post(Size::Small, Icon::Ban, "Cancel", paths::ROLLOUT_CANCEL)) }
                }
            }
            div.card-body {
                p.muted.small {
                    "Asked by " (rollout.asked_by) " " (time::ago(rollout.asked_at, now)) ", " (rollout.at_once) " at a time."
                    " " (count(rollout.tally.done)) " of " (counted(rollout.tally.all(), "server is", "servers are")) " done, "
                    (count(rollout.tally.under_way)) " under way, " (count(rollout.tally.failed)) " failed, " (count(rollout.tally.waiting)) " to come"
                    @if rollout.tally.left_out > 0 { ", " (count(rollout.tally.left_out)) " left out" }
                    "."
                    @if rollout.stopped { " " (why_stopped(rollout, now)) }
                }
            }
            (table("Servers of the rollout", COLUMNS, None, &rows))
            @if rollout.tally.all() > rollout.rows.len() as u64 {
                div.card-body { p.muted.small { (count(rollout.rows.len() as u64)) " are shown: those that failed, are under way, and come next." } }
            }
        }
    }
}

fn why_stopped(rollout: &Rollout, now: Timestamp) -> Markup {
    html! {
        @match &rollout.hold {
            Some(Hold::Away { server, since }) => {
                (server) " is away since " (time::clock(*since, now)) " and its update is not over, so no other is begun. Resume goes on once it is back; "
                "to go on without it, cancel this and update all again."
            }
            Some(Hold::Ailing { server, roles }) => {
                (server) " is updated, but not healthy: " (list_of(roles)) " not working since. No other is begun. Resume goes on once that works again; "
                "to go on as it is, cancel this and update all again."
            }
            None if rollout.tally.failed == 0 => "A server was away for long, or not healthy, so no other was begun. Resume goes on.",
            None => "A server failed, so no other is begun. Resume tries it again, with what this panel offers now, and goes on.",
        }
    }
}

fn list_of(roles: &[Role]) -> String {
    roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ")
}

fn row_of(row: &RolloutRow, now: Timestamp) -> Markup {
    let below = match &row.state {
        RolloutRowState::LeftOut(Some(why)) => Some(left_out_line(*why, now)),
        RolloutRowState::UnderWay(Some(steps)) => Some(progress::progress(steps)),
        RolloutRowState::Held(waiting) => Some(note::waiting_line(waiting)),
        RolloutRowState::Ailing(roles) => Some(html! { span.bad { (list_of(roles)) " not working since its update was begun." } }),
        RolloutRowState::Failed(Some(failure)) => Some(note::failure_line(failure)),
        RolloutRowState::Waiting
        | RolloutRowState::LeftOut(None)
        | RolloutRowState::UnderWay(None)
        | RolloutRowState::Done
        | RolloutRowState::Failed(None) => None,
    };
    html! {
        tbody {
            tr {
                td.main { a.name href=(paths::server(row.id)) { (row.name) } }
                td {
                    (row.state.badge())
                    @if let Some(operation) = row.operation { " " a.small.inline-link href=(paths::operation(operation)) { "What happened" } }
                }
                td data-label="Version" { (row.version) }
            }
            @if let Some(below) = below { (detail(COLUMNS.len(), &below)) }
        }
    }
}

fn left_out_line(why: LeftOut, now: Timestamp) -> Markup {
    html! {
        span.muted {
            "Passed over: "
            @match why {
                LeftOut::Offline { since } => { "it is offline since " (time::clock(since, now)) "." }
                LeftOut::Paused { since } => { "changes for it are paused since " (time::clock(since, now)) "." }
            }
        }
    }
}
