//! Servers on the first page: who answers, and how busy they are.

use jiff::Timestamp;
use maud::{Markup, html};

use super::{Row, accounts, ailing, named, reach, roles, row_id};
use crate::views::components::table::{Column, table};
use crate::views::components::usage;
use crate::views::fragment::Fragment;

const COLUMNS: &[Column] = &[
    Column::new("Name").class("main"),
    Column::new("Reachable"),
    Column::new("Roles"),
    Column::new("Accounts").class("num"),
    Column::new("Load").class("num"),
    Column::new("Disk").class("disk wide"),
];

/// The table.
#[must_use]
pub fn table_of(rows: &[Row], now: Timestamp) -> Markup {
    let rows = html! { @for row in rows { (row_fragment(row, now).html) } };
    table("Servers", COLUMNS, None, &rows)
}

/// One server.
#[must_use]
pub fn row_fragment(row: &Row, now: Timestamp) -> Fragment {
    let id = row_id(row.id);
    let html = html! {
        tbody #(id) {
            tr {
                td.main { (named(row)) small { (row.hostname) } }
                td { (reach(row.reach, row.jobs_waiting, now)) (ailing(row)) }
                td { (roles(&row.roles)) }
                td.num data-label="Accounts" { (accounts(row)) }
                td.num data-label="Load" { @if let Some(load) = row.load { (format!("{:.2}", load.load1)) } @else { span.muted { "no data" } } }
                td.disk.wide data-label="Disk" { (disk(row)) }
            }
        }
    };
    Fragment::new(id, html)
}

fn disk(row: &Row) -> Markup {
    html! {
        @if let Some(load) = row.load {
            (usage::bar(&format!("Disk of {}", row.name), load.disk_used_mib, load.disk_mib, ""))
        } @else {
            span.muted { "no data" }
        }
    }
}
