//! Groups of icon tiles, and the box that narrows them as one types.

use maud::{Markup, html};

use super::icon::Icon;

/// One tile.
#[derive(Debug, Clone)]
pub struct Tile {
    /// Its icon.
    pub icon: Icon,
    /// Its name.
    pub label: &'static str,
    /// A line below its name.
    pub note: Option<String>,
    /// Where it leads.
    pub href: String,
    /// Further words the filter finds it by.
    pub words: &'static str,
}

/// A group of tiles.
#[derive(Debug, Clone)]
pub struct TileGroup {
    /// Its name.
    pub title: &'static str,
    /// Its tiles.
    pub tiles: Vec<Tile>,
}

/// The filter box. Without scripts it stays away, because every tile is on the page.
#[must_use]
pub fn filter() -> Markup {
    html! {
        div class="search is-lg" data-tile-filter hidden {
            (Icon::Search)
            input #tile-filter type="search" placeholder="Find a tool, such as PHP or password" aria-label="Find a tool" autocomplete="off";
        }
    }
}

/// A group as a card.
#[must_use]
pub fn group(group: &TileGroup) -> Markup {
    html! {
        section.card.tile-group data-tile-group {
            header.card-head { h2 { (group.title) } }
            div.tiles {
                @for tile in &group.tiles {
                    a.tile href=(tile.href) data-words=(tile.words) {
                        span { (tile.icon) }
                        span { (tile.label) @if let Some(note) = &tile.note { small { (note) } } }
                    }
                }
            }
        }
    }
}

/// What the filter shows when it hides everything.
#[must_use]
pub fn nothing_left() -> Markup {
    html! { p.muted data-tile-empty role="status" hidden { "No tool has that name." } }
}
