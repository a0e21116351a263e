//! The bar above a list: filters by state with counts, further filters, and the search.

use maud::{Markup, html};

use super::badge::Tone;
use super::icon::Icon;
use super::stat::count;
use crate::views::listing::Listing;

/// One filter.
#[derive(Debug, Clone, Copy)]
pub struct Filter {
    /// Its key in the address; empty for all.
    pub key: &'static str,
    /// Its word.
    pub label: &'static str,
    /// How many rows it has.
    pub count: u64,
    /// The count's tone when it is not zero.
    pub tone: Option<Tone>,
}

impl Filter {
    /// A filter without a tone.
    #[must_use]
    pub const fn new(key: &'static str, label: &'static str, count: u64) -> Self {
        Self { key, label, count, tone: None }
    }

    /// The filter with a tone.
    #[must_use]
    pub const fn tone(mut self, tone: Tone) -> Self {
        self.tone = Some(tone);
        self
    }
}

/// How many accounts or sites each filter by state has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StateCounts {
    /// All.
    pub all: u64,
    /// Proved to work (`active`).
    pub active: u64,
    /// A change is on its way (`busy`).
    pub busy: u64,
    /// The last change failed (`failed`).
    pub failed: u64,
    /// Switched off (`suspended`).
    pub suspended: u64,
}

/// The filters of accounts or sites by state.
#[must_use]
pub const fn state_filters(counts: StateCounts) -> [Filter; 5] {
    [
        Filter::new("", "All", counts.all),
        Filter::new("active", "Active", counts.active),
        Filter::new("busy", "Changing", counts.busy).tone(Tone::Work),
        Filter::new("failed", "Failed", counts.failed).tone(Tone::Bad),
        Filter::new("suspended", "Suspended", counts.suspended),
    ]
}

/// A choice among values, such as servers. The first one is all.
#[derive(Debug, Clone)]
pub struct Select {
    /// Its key in the address.
    pub key: &'static str,
    /// What it chooses, such as `Server`.
    pub label: &'static str,
    /// The word for all, such as `All servers`.
    pub all: &'static str,
    /// The values with their words.
    pub options: Vec<(String, String)>,
}

impl Select {
    /// Among servers: each one's name and its word.
    #[must_use]
    pub fn server(servers: &[(String, String)]) -> Self {
        Self { key: "server", label: "Server", all: "All servers", options: servers.to_vec() }
    }
}

/// The bar.
#[must_use]
pub fn toolbar(listing: &Listing, filters: &[Filter], selects: &[Select], search: &str) -> Markup {
    html! {
        div.toolbar {
            @if !filters.is_empty() { (filter_links(listing, filters)) }
            form.row.end method="get" action=(listing.path) role="search" data-auto {
                @if !listing.state.is_empty() { input type="hidden" name="state" value=(listing.state); }
                @if !listing.sort.is_empty() { input type="hidden" name="sort" value=(listing.sort); }
                @if listing.descending { input type="hidden" name="dir" value="desc"; }
                @for (key, value) in listing.extra.iter().filter(|(key, _)| selects.iter().all(|select| select.key != key)) {
                    input type="hidden" name=(key) value=(value);
                }
                @for select in selects { (select_box(listing, select)) }
                div.search {
                    (Icon::Search)
                    input type="search" name="q" value=(listing.q) placeholder=(search) aria-label=(search);
                }
                button class="btn is-sm sr-button" type="submit" { "Search" }
            }
        }
    }
}

/// The filters as links.
#[must_use]
pub fn filter_links(listing: &Listing, filters: &[Filter]) -> Markup {
    html! {
        nav.filters aria-label="Filter by state" {
            @for filter in filters {
                @let current = (filter.key == listing.state).then_some("true");
                @let tone = filter.tone.filter(|_| filter.count > 0);
                a href=(listing.with_state(filter.key)) aria-current=[current] {
                    (filter.label) " " span.count data-state=[tone.map(Tone::as_str)] { (count(filter.count)) }
                }
            }
        }
    }
}

fn select_box(listing: &Listing, select: &Select) -> Markup {
    let chosen = listing.extra(select.key);
    html! {
        select.input.is-fit name=(select.key) aria-label=(select.label) {
            option value="" selected[chosen.is_empty()] { (select.all) }
            @for (value, label) in &select.options { option value=(value) selected[chosen == value] { (label) } }
        }
    }
}
