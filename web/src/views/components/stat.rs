//! Figures, and numbers as people read them.

use maud::{Markup, html};

/// One figure.
#[derive(Debug, Clone)]
pub struct Stat {
    /// What it counts.
    pub label: &'static str,
    /// The figure.
    pub value: Markup,
    /// A line below.
    pub note: Option<Markup>,
}

/// A row of figures.
#[must_use]
pub fn stats(id: &str, stats: &[Stat]) -> Markup {
    html! {
        dl.card.stats #(id) {
            @for stat in stats {
                div { dt { (stat.label) } dd { (stat.value) } @if let Some(note) = &stat.note { dd { (note) } } }
            }
        }
    }
}

/// A number with commas between thousands.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number and its noun: `1 site`, `8 sites`; `no sites` for none.
#[must_use]
pub fn counted(number: u64, one: &str, many: &str) -> String {
    match number {
        0 => format!("no {many}"),
        1 => format!("1 {one}"),
        more => format!("{} {many}", count(more)),
    }
}

/// A size given in MiB: `640 MB`, `4.2 GB`.
#[must_use]
pub fn size_mib(mib: u64) -> String {
    const UNITS: [&str; 3] = ["MB", "GB", "TB"];
    let mut tenths = mib.saturating_mul(10);
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    if unit == 0 || tenths >= 1000 || tenths.is_multiple_of(10) {
        format!("{} {}", tenths / 10, UNITS[unit])
    } else {
        format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
    }
}
