//! Times: relative, with the exact one on hover.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use maud::{Markup, html};

const SECOND: i64 = 1;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// How long ago a time was, such as `3 min ago`. The browser keeps it true while the page stays open.
#[must_use]
pub fn ago(at: Timestamp, now: Timestamp) -> Markup {
    html! { time datetime=(at.strftime("%Y-%m-%dT%H:%M:%SZ")) title=(exact(at)) data-ago { (ago_text(at, now)) } }
}

/// A time of day, with the day where that was not today. In UTC, as everything in the panel.
#[must_use]
pub fn clock(at: Timestamp, now: Timestamp) -> Markup {
    html! { time datetime=(at.strftime("%Y-%m-%dT%H:%M:%SZ")) title=(exact(at)) { (clock_text(at, now)) } }
}

/// The same in words: `14:02 UTC`, `21 Nov 14:02 UTC`, and with the year where that was another one.
#[must_use]
pub fn clock_text(at: Timestamp, now: Timestamp) -> String {
    let (day, today) = (at.to_zoned(TimeZone::UTC), now.to_zoned(TimeZone::UTC));
    let format = match (day.date() == today.date(), day.year() == today.year()) {
        (true, _) => "%H:%M UTC",
        (false, true) => "%-d %b %H:%M UTC",
        (false, false) => "%-d %b %Y %H:%M UTC",
    };
    day.strftime(format).to_string()
}

/// A date, such as `3 March 2024`.
#[must_use]
pub fn date(at: Timestamp) -> Markup {
    html! { time datetime=(at.strftime("%Y-%m-%dT%H:%M:%SZ")) title=(exact(at)) { (at.to_zoned(TimeZone::UTC).strftime("%-d %B %Y")) } }
}

/// A time to the second, such as `14:06:31 UTC`.
#[must_use]
pub fn second(at: Timestamp) -> Markup {
    html! { time datetime=(at.strftime("%Y-%m-%dT%H:%M:%SZ")) title=(exact(at)) { (at.strftime("%H:%M:%S UTC")) } }
}

/// The exact time, such as `2026-11-21 14:06:31 UTC`.
#[must_use]
pub fn exact(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// How long ago, in words. `app.js` says it in the same words.
#[must_use]
pub fn ago_text(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - at.as_second();
    match seconds {
        ..=4 => "just now".to_owned(),
        5..MINUTE => format!("{seconds} s ago"),
        MINUTE..HOUR => format!("{} min ago", seconds / MINUTE),
        HOUR..DAY => format!("{} h ago", seconds / HOUR),
        _ if seconds < 2 * DAY => "yesterday".to_owned(),
        _ if seconds < 30 * DAY => format!("{} days ago", seconds / DAY),
        _ => at.to_zoned(TimeZone::UTC).strftime("%-d %B %Y").to_string(),
    }
}

/// How long until a time, such as `in 42 min`.
#[must_use]
pub fn until_text(at: Timestamp, now: Timestamp) -> String {
    let seconds = at.as_second() - now.as_second();
    match seconds {
        ..=0 => "now".to_owned(),
        1..MINUTE => format!("in {seconds} s"),
        MINUTE..HOUR => format!("in {} min", seconds / MINUTE),
        HOUR..DAY => format!("in {} h", seconds / HOUR),
        _ => format!("in {} days", seconds / DAY),
    }
}

/// A duration: `38 ms`, `3.1 s`, `2 min 5 s`.
#[must_use]
pub fn duration_ms(ms: u64) -> String {
    match ms {
        0 => "under 1 ms".to_owned(),
        1..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

/// A duration in seconds: `12 s`, `5 min`, `3 h`, `41 days`.
#[must_use]
pub fn duration_s(seconds: u64) -> String {
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        86_400..172_800 => "1 day".to_owned(),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::clock_text;

    #[test]
    fn a_time_says_its_day_where_that_was_not_today() {
        let now = "2026-11-22T00:05:00Z".parse().unwrap();
        for (at, words) in [
            ("2026-11-22T00:01:00Z", "00:01 UTC"),
            ("2026-11-21T23:59:00Z", "21 Nov 23:59 UTC"),
            ("2026-03-04T14:02:00Z", "4 Mar 14:02 UTC"),
            ("2025-11-22T14:02:00Z", "22 Nov 2025 14:02 UTC"),
        ] {
            assert_eq!(clock_text(at.parse().unwrap(), now), words);
        }
    }
}
