//! How much of something is used.

use maud::{Markup, html};

use super::badge::Tone;
use super::stat::count;

/// An amount against its limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// What is used, such as `Sites`.
    pub label: String,
    /// How much, in its own unit.
    pub used: u64,
    /// How much there may be; `None` for no limit.
    pub limit: Option<u64>,
    /// The amounts as text, such as `18.4 of 25 GB`; made from the numbers if absent.
    pub text: Option<String>,
}

impl Usage {
    fn words(&self) -> String {
        match (&self.text, self.limit) {
            (Some(text), _) => text.clone(),
            (None, Some(limit)) => format!("{} of {}", count(self.used), count(limit)),
            (None, None) => count(self.used),
        }
    }
}

/// A list of usages.
#[must_use]
pub fn usage(usages: &[Usage]) -> Markup {
    html! {
        ul.usage {
            @for usage in usages {
                li {
                    span { (usage.label) }
                    span { (usage.words()) }
                    @if let Some(limit) = usage.limit { (bar(&usage.label, usage.used, limit, &usage.words())) }
                }
            }
        }
    }
}

/// A bar: amber from nine tenths, red when full.
#[must_use]
pub fn bar(label: &str, used: u64, limit: u64, text: &str) -> Markup {
    let percent = used.saturating_mul(100).checked_div(limit).unwrap_or(100).min(100);
    let tone = match percent {
        0..90 => None,
        90..100 => Some(Tone::Warn),
        _ => Some(Tone::Bad),
    };
    html! {
        span.bar data-state=[tone.map(Tone::as_str)] role="meter" aria-label=(label) aria-valuemin="0" aria-valuemax="100"
            aria-valuenow=(percent) aria-valuetext=(text) {
            svg aria-hidden="true" { rect width={ (percent) "%" } {} }
        }
    }
}
