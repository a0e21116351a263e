//! What of a page a viewer does not have yet.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use maud::Markup;

use crate::views::fragment::{Fragment, partial};

/// The live parts of a page at one moment.
#[derive(Debug, Default)]
pub struct LivePage {
    /// Parts that stand alone.
    pub parts: Vec<Fragment>,
    /// A list whose rows come and go, if the page has one.
    pub list: Option<LiveList>,
}

/// A list: the element that holds the rows, and each row.
#[derive(Debug)]
pub struct LiveList {
    /// The whole list, rows included.
    pub container: Fragment,
    /// Each row, in order.
    pub rows: Vec<Fragment>,
}

/// A rendering, shared by all who watch the same page with the same rights.
#[derive(Debug, Default)]
pub struct Rendered {
    parts: Vec<Part>,
    rows: Vec<Part>,
    container: Option<Part>,
}

#[derive(Debug)]
struct Part {
    id: String,
    hash: u64,
    message: String,
}

impl Part {
    fn new(fragment: &Fragment) -> Self {
        let Markup { 0: message } = partial(fragment);
        Self { id: fragment.id.clone(), hash: fingerprint(&fragment.html.0), message }
    }
}

/// What a part says, but for the words of relative times: the browser keeps those true by itself, so they are no news.
fn fingerprint(html: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut pieces = html.split("data-ago>");
    pieces.next().hash(&mut hasher);
    for piece in pieces {
        piece.split_once("</time>").map_or(piece, |(_, rest)| rest).hash(&mut hasher);
    }
    hasher.finish()
}

impl From<LivePage> for Rendered {
    fn from(page: LivePage) -> Self {
        let (container, rows) = match &page.list {
            Some(list) => (Some(Part::new(&list.container)), list.rows.iter().map(Part::new).collect()),
            None => (None, Vec::new()),
        };
        Self { parts: page.parts.iter().map(Part::new).collect(), rows, container }
    }
}

/// What one viewer has.
#[derive(Debug, Default)]
pub struct Seen {
    rows: Vec<String>,
    hashes: HashMap<String, u64>,
}

impl Seen {
    /// The message that brings the viewer up to date, or `None` if there is nothing new. On the first call everything
    /// is new: that is how a page that was rendered a moment ago, or slept in the background, comes to the truth.
    pub fn update(&mut self, page: &Rendered) -> Option<String> {
        let mut message = String::new();
        for part in &page.parts {
            self.take(part, &mut message);
        }
        let rows: Vec<&str> = page.rows.iter().map(|row| row.id.as_str()).collect();
        let same_rows = rows.iter().copied().eq(self.rows.iter().map(String::as_str));
        if same_rows {
            for row in &page.rows {
                self.take(row, &mut message);
            }
            // What is not a row, such as the pager's total, changes with the rows or not at all.
            if page.rows.is_empty()
                && let Some(container) = &page.container
            {
                self.take(container, &mut message);
            }
        } else if let Some(container) = &page.container {
            message.push_str(&container.message);
            for row in &page.rows {
                self.hashes.insert(row.id.clone(), row.hash);
            }
        }
        self.rows = rows.into_iter().map(str::to_owned).collect();
        (!message.is_empty()).then_some(message)
    }

    fn take(&mut self, part: &Part, message: &mut String) {
        if self.hashes.get(&part.id) != Some(&part.hash) {
            self.hashes.insert(part.id.clone(), part.hash);
            message.push_str(&part.message);
        }
    }
}

#[cfg(test)]
mod tests {
    use maud::html;

    use super::{LiveList, LivePage, Rendered, Seen};
    use crate::views::fragment::Fragment;

    fn row(id: &str, text: &str) -> Fragment {
        Fragment::new(id, html! { tbody id=(id) { (text) } })
    }

    fn page(rows: &[(&str, &str)]) -> Rendered {
        let rows: Vec<Fragment> = rows.iter().map(|(id, text)| row(id, text)).collect();
        let container = Fragment::new("list", html! { table id="list" { @for row in &rows { (row.html) } } });
        LivePage { parts: vec![row("stats", "1")], list: Some(LiveList { container, rows }) }.into()
    }

    #[test]
    fn the_first_update_holds_everything_and_a_repeat_holds_nothing() {
        let mut seen = Seen::default();
        let first = seen.update(&page(&[("a", "x"), ("b", "y")])).unwrap();
        assert!(first.contains("#stats") && first.contains("#list"));
        assert_eq!(seen.update(&page(&[("a", "x"), ("b", "y")])), None);
    }

    #[test]
    fn a_changed_row_comes_alone() {
        let mut seen = Seen::default();
        seen.update(&page(&[("a", "x"), ("b", "y")]));
        let message = seen.update(&page(&[("a", "x"), ("b", "z")])).unwrap();
        assert!(message.contains("#b") && !message.contains("\"#a\"") && !message.contains("#list"));
    }

    #[test]
    fn time_that_passes_is_no_news_but_another_time_is() {
        let at = |iso: &str, words: &str| {
            let html = html! { p id="t" { time datetime=(iso) data-ago { (words) } " ago" } };
            LivePage { parts: vec![Fragment::new("t", html)], list: None }.into()
        };
        let mut seen = Seen::default();
        seen.update(&at("2026-11-21T14:00:00Z", "5 s"));
        assert_eq!(seen.update(&at("2026-11-21T14:00:00Z", "6 s")), None);
        assert!(seen.update(&at("2026-11-21T14:00:01Z", "5 s")).is_some());
    }

    #[test]
    fn a_row_that_comes_goes_or_moves_brings_the_whole_list() {
        let mut seen = Seen::default();
        seen.update(&page(&[("a", "x"), ("b", "y")]));
        for rows in [vec![("a", "x")], vec![("c", "n"), ("a", "x")], vec![("a", "x"), ("c", "n")], vec![]] {
            assert!(seen.update(&page(&rows)).unwrap().contains("#list"), "{rows:?}");
        }
    }
}
