//! How a server fared lately: its load, memory and disk over an hour or a day.

use jiff::Timestamp;
use maud::{Markup, html};
use shared::ids::ServerId;

use crate::paths;
use crate::views::components::chart::{Chart, Series, chart};
use crate::views::components::stat::size_mib;
use crate::views::fragment::Fragment;

/// How far back the charts go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Span {
    /// An hour, by minutes.
    #[default]
    Hour,
    /// A day, by five minutes.
    Day,
}

impl Span {
    /// By its name in an address; anything else is an hour.
    #[must_use]
    pub fn of(name: &str) -> Self {
        if name == "day" { Self::Day } else { Self::Hour }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// Minutes from one point to the next, and how many there are.
    #[must_use]
    pub const fn steps(self) -> (i64, usize) {
        match self {
            Self::Hour => (1, 61),
            Self::Day => (5, 289),
        }
    }
}

/// What is known of the time: one value a step, the oldest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    /// How far back.
    pub span: Span,
    /// When the first value was.
    pub from: Timestamp,
    /// Load averages over one minute.
    pub load: Vec<Option<f64>>,
    /// Memory in use, MiB.
    pub memory_mib: Vec<Option<f64>>,
    /// Disk in use, MiB.
    pub disk_mib: Vec<Option<f64>>,
}

const CHARTS: &str = "server-charts";

/// The charts. Sizes, if known, are their tops: memory and disk in MiB.
pub(super) fn charts(id: ServerId, name: &str, history: &History, sizes: Option<(u64, u64)>) -> Fragment {
    let (step, _) = history.span.steps();
    let of = |what: &'static str, values: &[Option<f64>], top: Option<u64>, unit: fn(f64) -> String| Chart {
        title: format!("{what} of {name}"),
        from: history.from,
        step_s: step * 60,
        series: Series { label: what, values: values.to_vec() },
        second: None,
        top: top.map(as_f64),
        unit,
    };
    let all = [
        of("Load", &history.load, None, |load| format!("{load:.2}")),
        of("Memory in use", &history.memory_mib, sizes.map(|sizes| sizes.0), mib),
        of("Disk in use", &history.disk_mib, sizes.map(|sizes| sizes.1), mib),
    ];
    let html = html! {
        section.card #(CHARTS) {
            header.card-head {
                h2 { "Resources" }
                nav.filters aria-label="How far back" { (span_link(id, history.span, Span::Hour, "Hour")) (span_link(id, history.span, Span::Day, "Day")) }
            }
            div.card-body.charts { @for of in &all { figure { figcaption.small.muted { (of.series.label) } (chart(of)) } } }
        }
    };
    Fragment::new(CHARTS, html)
}

fn span_link(id: ServerId, is: Span, of: Span, label: &str) -> Markup {
    let page = paths::server(id);
    let href = if of == Span::default() { page } else { paths::with_query(&page, [("span", of.as_str())]) };
    html! { a href=(href) aria-current=[(is == of).then_some("true")] { (label) } }
}

#[expect(clippy::cast_precision_loss, reason = "the top of a drawing")]
const fn as_f64(mib: u64) -> f64 {
    mib as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size in MiB, never negative")]
fn mib(value: f64) -> String {
    size_mib(value.round().max(0.0) as u64)
}
