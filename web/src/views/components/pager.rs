//! Pages of a list.

use maud::{Markup, html};

use super::stat::count;
use crate::views::listing::Listing;

/// The foot of a list: which rows these are, and the pages beside.
#[must_use]
pub fn pager(listing: &Listing) -> Markup {
    let first = (listing.page.max(1) - 1) * listing.per_page + 1;
    let last = (first + listing.per_page - 1).min(listing.total);
    html! {
        @if listing.total > 0 {
            footer.card-foot {
                nav.pager.grow aria-label="Pages" {
                    span { (count(first.min(last))) " to " (count(last)) " of " (count(listing.total)) }
                    @if listing.pages() > 1 {
                        div.btn-group {
                            (step("Previous", (listing.page > 1).then(|| listing.with_page(listing.page - 1))))
                            (step("Next", (listing.page < listing.pages()).then(|| listing.with_page(listing.page + 1))))
                        }
                    }
                }
            }
        }
    }
}

fn step(label: &str, href: Option<String>) -> Markup {
    html! {
        @if let Some(href) = href { a class="btn is-sm" href=(href) { (label) } }
        @else { span class="btn is-sm" aria-disabled="true" { (label) } }
    }
}
