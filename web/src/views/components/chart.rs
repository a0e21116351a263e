//! A line over time: an SVG that needs no script, and under the pointer, or at the arrow keys, what a moment says.

use std::fmt::Write;

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

/// Moments named below the chart, ends included.
const MARKS: usize = 5;
/// Heights named beside it: its lines and its ground.
const HEIGHTS: i32 = 3;
/// Units of the drawing from ground to top.
const TALL: f64 = 100.0;

/// One line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What it counts, such as `Finished`.
    pub label: &'static str,
    /// One value a step, the oldest first; `None` where nothing is known, which leaves a gap.
    pub values: Vec<Option<f64>>,
}

/// A chart. All series have as many values.
#[derive(Debug, Clone)]
pub struct Chart {
    /// What it shows, for those who do not see it: `Load of web1`.
    pub title: String,
    /// When the first value was.
    pub from: Timestamp,
    /// Seconds from one value to the next.
    pub step_s: i64,
    /// The line with a surface below it.
    pub series: Series,
    /// A dashed line beside it.
    pub second: Option<Series>,
    /// The value of the top; if absent, a round number that nothing exceeds.
    pub top: Option<f64>,
    /// A value in words.
    pub unit: fn(f64) -> String,
}

impl Chart {
    fn all(&self) -> impl Iterator<Item = &Series> {
        [&self.series].into_iter().chain(&self.second)
    }

    fn highest(&self) -> f64 {
        self.all().flat_map(|series| series.values.iter().flatten()).copied().fold(0.0, f64::max)
    }

    fn top(&self) -> f64 {
        self.top.filter(|top| *top > 0.0).unwrap_or_else(|| round_up(self.highest()))
    }

    fn at(&self, index: usize) -> Timestamp {
        let seconds = self.step_s.saturating_mul(i64::try_from(index).unwrap_or(0));
        self.from.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(self.from)
    }

    fn clock(&self, index: usize) -> String {
        self.at(index).strftime("%H:%M").to_string()
    }

    /// What each moment says, for the readout: parts by `|`.
    fn readout(&self) -> String {
        let of = |series: &Series, index: usize| {
            let value = series.values.get(index).copied().flatten();
            value.map_or_else(|| "no data".to_owned(), |value| (self.unit)(value))
        };
        let moment = |index: usize| {
            let words = match &self.second {
                None => of(&self.series, index),
                Some(second) => {
                    let (one, other) = (of(&self.series, index), of(second, index));
                    format!("{one} {}, {other} {}", self.series.label.to_lowercase(), second.label.to_lowercase())
                }
            };
            format!("{}  {words}", self.clock(index))
        };
        (0..self.series.values.len()).map(moment).collect::<Vec<_>>().join("|")
    }

    fn summary(&self) -> String {
        let newest = self.series.values.iter().rev().find_map(|value| *value);
        match newest {
            None => format!("{}: no data", self.title),
            Some(newest) => format!("{}: {} at last, {} at most", self.title, (self.unit)(newest), (self.unit)(self.highest())),
        }
    }
}

/// The next of 1, 2, 5, 10, 20 ... that is at least this, so that thirds of it read well enough.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let decade = 10_f64.powf(value.log10().floor());
    [1.0, 1.5, 3.0, 6.0, 9.0, 10.0].into_iter().map(|step| step * decade).find(|top| *top >= value).unwrap_or(10.0 * decade)
}

/// The stretches without a gap, as points of the drawing.
fn stretches(series: &Series, top: f64) -> Vec<Vec<(usize, f64)>> {
    let mut stretches = vec![vec![]];
    for (index, value) in series.values.iter().enumerate() {
        match (value, stretches.last_mut()) {
            (Some(value), Some(open)) => open.push((index, TALL - (value / top).clamp(0.0, 1.0) * TALL)),
            _ => stretches.push(vec![]),
        }
    }
    stretches.retain(|points| !points.is_empty());
    stretches
}

fn line(points: &[(usize, f64)], path: &mut String) {
    for (at, (x, y)) in points.iter().enumerate() {
        let pen = if at == 0 { 'M' } else { 'L' };
        // Writing to a string cannot fail.
        let _ = write!(path, "{pen}{x},{y:.1}");
    }
    // A single value shows as a dash.
    if let [(x, y)] = points {
        let _ = write!(path, "L{}.4,{y:.1}", x);
    }
}

fn lines(series: &Series, top: f64) -> String {
    let mut path = String::new();
    for points in stretches(series, top) {
        line(&points, &mut path);
    }
    path
}

fn area(series: &Series, top: f64) -> String {
    let mut path = String::new();
    for points in stretches(series, top) {
        line(&points, &mut path);
        if let (Some((first, _)), Some((last, _))) = (points.first(), points.last()) {
            let _ = write!(path, "L{last},{TALL}L{first},{TALL}Z");
        }
    }
    path
}

/// The chart, below it its moments, beside it its heights. In UTC, as everything in the panel.
#[must_use]
pub fn chart(chart: &Chart) -> Markup {
    let (top, last) = (chart.top(), chart.series.values.len().saturating_sub(1));
    html! {
        @if let Some(second) = &chart.second {
            div.legend { span { (chart.series.label) } span.second { (second.label) } }
        }
        div.chart {
            div.y aria-hidden="true" {
                @for height in (0..=HEIGHTS).rev() { span { ((chart.unit)(top * f64::from(height) / f64::from(HEIGHTS))) } }
            }
            div.plot data-readout=(chart.readout()) tabindex="0" role="group" aria-label={ (chart.title) ": arrow keys read it" } {
                svg viewBox={ "0 0 " (last.max(1)) " " (TALL) } preserveAspectRatio="none" role="img" aria-label=(chart.summary()) {
                    path.area d=(area(&chart.series, top)) {}
                    path d=(lines(&chart.series, top)) {}
                    @if let Some(second) = &chart.second { path.second d=(lines(second, top)) {} }
                }
            }
            div.x aria-hidden="true" {
                @for mark in 0..MARKS { span { (chart.clock(last * mark / (MARKS - 1))) } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{Chart, Series, chart, round_up, stretches};

    fn of(values: Vec<Option<f64>>) -> Chart {
        Chart {
            title: "Load of web1".to_owned(),
            from: Timestamp::UNIX_EPOCH,
            step_s: 60,
            series: Series { label: "Load", values },
            second: None,
            top: None,
            unit: |value| format!("{value:.1}"),
        }
    }

    #[test]
    fn the_top_is_round_and_nothing_exceeds_it() {
        for value in [0.0, 0.004, 0.3, 0.31, 1.0, 1.2, 2.9, 5.9, 7.0, 9.1, 10.0, 99.0, 12_345.0] {
            let top = round_up(value);
            assert!(top >= value && (value <= 0.0 || top <= value * 2.01), "{value}: {top}");
        }
    }

    #[test]
    fn a_gap_breaks_the_line() {
        let series = Series { label: "", values: vec![Some(1.0), Some(2.0), None, None, Some(9.0), None] };
        let found = stretches(&series, 10.0);
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(found[1], [(4, 10.0)]);
    }

    #[test]
    fn it_says_in_words_what_it_shows() {
        let html = chart(&of(vec![Some(0.5), None, Some(0.2)])).into_string();
        assert!(html.contains(r#"aria-label="Load of web1: 0.2 at last, 0.5 at most""#), "{html}");
        assert!(html.contains(r#"data-readout="00:00  0.5|00:01  no data|00:02  0.2""#), "{html}");
        assert!(chart(&of(vec![])).into_string().contains("Load of web1: no data"));
    }
}
