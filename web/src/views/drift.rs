//! Drift: what is on servers other than it was applied; and its note on the page of what has drifted.

use jiff::Timestamp;
use maud::{Markup, html};
use shared::difference::Difference;
use shared::ids::ServerId;

use super::components::badge::Tone;
use super::components::button::for_ears;
use super::components::icon::Icon;
use super::components::stat::{count, counted};
use super::components::toast::Toast;
use super::components::toolbar::toolbar;
use super::components::{difference, empty_state, pager, reference, time};
use super::fragment::Fragment;
use super::layout::{self, Nav, Page, Viewer};
use super::listing::Listing;
use super::model::{AccountRef, FormKey, ServerRef};
use crate::paths;

/// The page's model.
#[derive(Debug, Clone)]
pub struct DriftModel {
    /// What time it is.
    pub now: Timestamp,
    /// This page's servers: those that have something come first.
    pub servers: Vec<ServerDrift>,
    /// How many of all servers have something.
    pub with_something: u64,
    /// What is shown.
    pub listing: Listing,
    /// The live stream.
    pub live: Option<String>,
    /// A message.
    pub toast: Option<Toast>,
}

/// One server.
#[derive(Debug, Clone)]
pub struct ServerDrift {
    /// Which.
    pub server: ServerRef,
    /// Its id, for its buttons.
    pub id: ServerId,
    /// When it was last compared, and how many resources were.
    pub looked: Option<(Timestamp, u64)>,
    /// Whether drift is repaired by itself.
    pub repairs: bool,
    /// How much has drifted, if it is so much that an admin is asked before anything is repaired by itself.
    pub brake: Option<Brake>,
    /// What has drifted, longest first; of many, as many as the page shows.
    pub drifted: Vec<DriftRow>,
    /// How many there are.
    pub total: u64,
    /// Include files that nginx refused.
    pub set_aside: Vec<SetAsideRow>,
}

/// Too much drift to be repaired without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brake {
    /// Drifted resources.
    pub drifted: u64,
    /// All of them.
    pub resources: u64,
}

/// An include file that nginx refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAsideRow {
    /// Where it lies now.
    pub path: String,
    /// What nginx said.
    pub said: String,
    /// Since when.
    pub at: Timestamp,
}

/// One drifted resource.
#[derive(Debug, Clone)]
pub struct DriftRow {
    /// Its key, as `kind:id`.
    pub resource: String,
    /// Such as `Site shop.example`.
    pub title: String,
    /// Its page, if it has one.
    pub path: Option<String>,
    /// Its account.
    pub account: AccountRef,
    /// How it differs.
    pub note: Drifted,
}

/// What a page says of something that has drifted.
#[derive(Debug, Clone)]
pub struct Drifted {
    /// What time it is.
    pub now: Timestamp,
    /// Since when.
    pub since: Timestamp,
    /// How. Set for admins only.
    pub differences: Vec<Difference>,
    /// Where Repair posts to, and for which resource, if the viewer may repair it now.
    pub repair: Option<String>,
    /// Whether it was repaired by itself again and again, in vain.
    pub comes_back: bool,
    /// Makes a repeated press the same request.
    pub key: FormKey,
}

const LIST: &str = "drift-list";

/// The page.
#[must_use]
pub fn page(viewer: &Viewer, model: &DriftModel) -> Markup {
    let line = html! { "Every server is compared with what was applied there, every few minutes. What somebody changed by hand appears here: with −, what is there now; with +, what Repair puts back." };
    let body = html! {
        (layout::page_head(&html! { "Drift" }, &line, &layout::nothing()))
        @if model.listing.pages() > 1 || model.listing.is_narrowed() {
            section.card { (toolbar(&model.listing, &[], &[], "Search by server")) }
        }
        (list(model).html)
    };
    let page = Page::new("Drift", Nav::Drift, body)
        .below(viewer.home(), paths::HOME)
        .live(model.live.as_deref(), false)
        .toast(model.toast.clone());
    layout::page(viewer, &page)
}

/// The parts that change while the page is open.
#[must_use]
pub fn fragments(model: &DriftModel) -> Vec<Fragment> {
    vec![list(model)]
}

fn list(model: &DriftModel) -> Fragment {
    let html = html! {
        div.stack #(LIST) {
            @if model.servers.is_empty() && model.listing.is_narrowed() {
                section.card { (empty_state::nothing_found("servers", &model.listing.cleared())) }
            } @else if model.servers.is_empty() {
                section.card { (empty_state::empty_state(Icon::Server, "No servers yet", "A server is compared from the moment it has joined.", &layout::nothing())) }
            }
            @if model.listing.pages() > 1 && !model.listing.is_narrowed() { p.muted.small { (summary(model)) } }
            @for server in &model.servers { (card(server, model.now, &model.listing.url(), &first_ones(server, model.now))) }
            @if model.listing.pages() > 1 { section.card { (pager::pager(&model.listing)) } }
        }
    };
    Fragment::new(LIST, html)
}

fn summary(model: &DriftModel) -> Markup {
    let rest = model.listing.total.saturating_sub(model.with_something);
    html! {
        (counted(model.with_something, "server has", "servers have")) " drifted or a refused file, and " (if model.with_something == 1 { "comes" } else { "come" })
        " first. On the other " (count(rest)) " everything is as it was applied, or was not compared yet."
    }
}

/// The card of a server around what is listed of its drift. Its buttons lead back to the page that it is on.
pub(super) fn card(server: &ServerDrift, now: Timestamp, back: &str, list: &Markup) -> Markup {
    html! {
        section.card {
            header.card-head {
                h2 { (reference::server(&server.server)) }
                p { (looked(server, now)) }
                form.row method="post" action=(paths::server_drift_check(server.id)) {
                    (origin(back))
                    button class="btn is-sm" type="submit" { (Icon::RefreshCw) "Check now" (for_ears(server.server.name.as_str())) }
                }
            }
            @if !server.set_aside.is_empty() { div.card-body.stack { @for file in &server.set_aside { (set_aside(file, now)) } } }
            @if let Some(brake) = server.brake { div.card-body { (braked(server, brake, back)) } }
            (list)
            footer.card-foot { (policy(server, back)) }
        }
    }
}

fn origin(back: &str) -> Markup {
    html! { input type="hidden" name="back" value=(back); }
}

fn first_ones(server: &ServerDrift, now: Timestamp) -> Markup {
    let shown = server.drifted.len() as u64;
    html! {
        @if server.drifted.is_empty() {
            div.card-body { p.muted.small { (as_applied(server)) } }
        } @else {
            (rows(&server.drifted, now))
            @if server.total > shown {
                div.card-body {
                    p.muted.small {
                        "The first " (count(shown)) " of " (count(server.total)) " are shown. "
                        a href=(paths::server_drift(server.id)) { "See all" (for_ears(server.server.name.as_str())) }
                    }
                }
            }
        }
    }
}

/// What has drifted, one below the other.
pub(super) fn rows(drifted: &[DriftRow], now: Timestamp) -> Markup {
    html! { ul.feed { @for row in drifted { (drift_row(row, now)) } } }
}

/// What is said where nothing has drifted.
pub(super) const fn as_applied(server: &ServerDrift) -> &'static str {
    match server.looked {
        None => "Not compared yet.",
        Some((_, 0)) => "There was nothing to compare.",
        Some(_) => "Everything is as it was applied.",
    }
}

fn looked(server: &ServerDrift, now: Timestamp) -> Markup {
    html! {
        @match server.looked {
            None => {}
            Some((at, 0)) if server.total == 0 => { "looked at " (time::ago(at, now)) }
            Some((at, resources)) => {
                (counted(resources, "resource", "resources")) " compared " (time::ago(at, now)) ", "
                @if server.total == 0 { "none drifted" } @else { (count(server.total)) " drifted" }
            }
        }
    }
}

fn set_aside(file: &SetAsideRow, now: Timestamp) -> Markup {
    let aside = file.path.contains(".broken");
    let tone = if aside { Tone::Bad } else { Tone::Warn };
    html! {
        div.note data-state=(tone) role="status" {
            (Icon::TriangleAlert)
            div.differences {
                p {
                    b { @if aside { "An include file could not stay; it was set aside." } @else { "A file of the server's base was written again." } }
                    " " span.mono { (file.path) } ", " (time::ago(file.at, now)) "."
                }
                p {
                    @if aside {
                        "Everything else goes on. Mend it and give it its name back, or remove it."
                    } @else {
                        "It was not as the worker needs it: changed by hand, or the server has grown. Lines with − were there, lines with + are."
                    }
                }
                pre.pre.framed tabindex="0" { (file.said) }
            }
        }
    }
}

fn braked(server: &ServerDrift, brake: Brake, back: &str) -> Markup {
    html! {
        div.note data-state=(Tone::Warn) role="status" {
            (Icon::TriangleAlert)
            div {
                b { (count(brake.drifted)) " of " (count(brake.resources)) " resources have drifted, more than 5 %." }
                " So many at once are not repaired by themselves: perhaps somebody is at work on the server, or a new release of the worker \
                  writes something else. Look at the differences, then confirm."
            }
            form.row method="post" action=(paths::server_drift_repair(server.id)) {
                (origin(back))
                button class="btn is-sm" type="submit" { (Icon::RotateCw) "Confirm: repair all " (count(server.total)) (for_ears(server.server.name.as_str())) }
            }
        }
    }
}

fn policy(server: &ServerDrift, back: &str) -> Markup {
    let (now, other, label) = if server.repairs {
        ("Drift is repaired by itself.", "report", "Only show it")
    } else {
        ("Drift is only shown.", "repair", "Repair it by itself")
    };
    html! {
        span { (now) }
        form.row method="post" action=(paths::server_drift_policy(server.id)) {
            (origin(back))
            input type="hidden" name="policy" value=(other);
            button class="btn is-sm" type="submit" { (label) (for_ears(server.server.name.as_str())) }
        }
        @if server.total > 0 && server.brake.is_none() {
            form.row method="post" action=(paths::server_drift_repair(server.id)) {
                (origin(back))
                button class="btn is-sm" type="submit" { (Icon::RotateCw) "Repair all" (for_ears(server.server.name.as_str())) }
            }
        }
    }
}

fn drift_row(row: &DriftRow, now: Timestamp) -> Markup {
    html! {
        li {
            (Icon::TriangleAlert)
            div.grow.stack {
                div {
                    @if let Some(path) = &row.path { a.strong href=(path) { (row.title) } } @else { span.strong { (row.title) } }
                    " " small { "in " (reference::account(&row.account)) ", since " (time::clock(row.note.since, now)) " (" (time::ago(row.note.since, now)) ")" }
                }
                (again(&row.note))
                (difference::differences(&row.note.differences))
            }
            (repair(&row.note, &row.title))
        }
    }
}

fn again(note: &Drifted) -> Markup {
    html! {
        @if note.comes_back { p.bad { "It was repaired by itself several times and changed again each time: something on the server does that." } }
    }
}

fn repair(note: &Drifted, title: &str) -> Markup {
    html! {
        @if let Some(resource) = &note.repair {
            form.row method="post" action=(paths::DRIFT_REPAIR) {
                (note.key)
                input type="hidden" name="resource" value=(resource);
                button class="btn is-sm" type="submit" { (Icon::RotateCw) "Repair" (for_ears(title)) }
            }
        }
    }
}

/// The note on the page of what has drifted. Without differences, in plain words.
#[must_use]
pub fn note(drifted: &Drifted) -> Markup {
    html! {
        div.note data-state=(Tone::Warn) role="status" {
            (Icon::TriangleAlert)
            @if drifted.differences.is_empty() {
                div {
                    b { "Somebody changed this on the server, not from here." }
                    " Your hosting company sees it, and can put it back as you set it up."
                }
            } @else {
                div {
                    p { b { "Changed on the server since " (time::clock(drifted.since, drifted.now)) ", not from here." } " Repair makes it as it was applied: lines with − go, lines with + come." }
                    (again(drifted))
                    (difference::differences(&drifted.differences))
                }
                (repair(drifted, "what was changed on the server"))
            }
        }
    }
}

/// "It is being watched over", with the last time.
#[must_use]
pub fn watched(at: Option<Timestamp>, drifted: bool, now: Timestamp) -> Option<Markup> {
    let at = at?;
    let words = if drifted { "differs" } else { "unchanged" };
    Some(html! { "Compared with these settings " (time::ago(at, now)) ": " (words) })
}
