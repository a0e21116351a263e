//! Tables. Each row is a `<tbody>` of its own, so that a row and the line below it are one fragment.

use maud::{Markup, html};

use super::icon::Icon;
use crate::views::listing::Listing;

/// A column's head.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its words; read aloud only if `hidden`.
    pub label: &'static str,
    /// Its key in the address, if one can sort by it.
    pub sort: Option<&'static str>,
    /// Classes of its cells: `main`, `num`, `wide`, `act`.
    pub class: &'static str,
}

impl Column {
    /// A column one cannot sort by.
    #[must_use]
    pub const fn new(label: &'static str) -> Self {
        Self { label, sort: None, class: "" }
    }

    /// A column one can sort by.
    #[must_use]
    pub const fn sorted(label: &'static str, key: &'static str) -> Self {
        Self { label, sort: Some(key), class: "" }
    }

    /// The column with classes.
    #[must_use]
    pub const fn class(mut self, class: &'static str) -> Self {
        self.class = class;
        self
    }

    /// The column of a row's menu.
    #[must_use]
    pub const fn actions() -> Self {
        Self { label: "Actions", sort: None, class: "act" }
    }
}

/// A table with its caption for screen readers, heads and rows (each a `<tbody>`). Without a listing nothing sorts.
#[must_use]
pub fn table(caption: &str, columns: &[Column], listing: Option<&Listing>, rows: &Markup) -> Markup {
    html! {
        div.table-wrap {
            table.table {
                caption.sr { (caption) }
                thead { tr { @for column in columns { (head(*column, listing)) } } }
                (rows)
            }
        }
    }
}

fn head(column: Column, listing: Option<&Listing>) -> Markup {
    let sorting = column.sort.zip(listing);
    let current = sorting.is_some_and(|(key, listing)| listing.sort == key);
    let descending = listing.is_some_and(|listing| listing.descending);
    let order = current.then_some(if descending { "descending" } else { "ascending" });
    html! {
        th scope="col" class=(column.class) aria-sort=[order] {
            @match sorting {
                Some((key, listing)) => {
                    a href=(listing.with_sort(key)) {
                        (column.label)
                        @if current { @if descending { (Icon::ArrowDown) } @else { (Icon::ArrowUp) } }
                    }
                }
                None if column.class == "act" => { span.sr { (column.label) } }
                None => { (column.label) }
            }
        }
    }
}

/// The line below a row, in the row's `<tbody>`.
#[must_use]
pub fn detail(columns: usize, content: &Markup) -> Markup {
    html! { tr.row-detail { td colspan=(columns) { (content) } } }
}
