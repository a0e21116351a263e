//! What of a page a viewer does not have yet.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::body::Bytes;

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

/// A rendering, shared by all who watch the same page with the same rights; so are the messages that are made of it.
#[derive(Debug, Default)]
pub struct Rendered {
    /// What viewers remember of it.
    shape: Arc<Shape>,
    parts: Vec<String>,
    rows: Vec<String>,
    container: Option<String>,
    whole: OnceLock<Option<Bytes>>,
    /// What the newest of the other renderings lacks: nearly all viewers have the same one.
    newer: Mutex<Option<Newer>>,
}

#[derive(Debug)]
struct Newer {
    than: Arc<Shape>,
    message: Option<Bytes>,
}

/// Of each part its DOM id and what it says, not how.
#[derive(Debug, Default, PartialEq, Eq)]
struct Shape {
    parts: Vec<(String, u64)>,
    rows: Vec<(String, u64)>,
    container: Option<u64>,
}

impl Shape {
    fn of(fragments: &[Fragment]) -> Vec<(String, u64)> {
        fragments.iter().map(|fragment| (fragment.id.clone(), fingerprint(&fragment.html.0))).collect()
    }

    fn has_rows_of(&self, other: &Self) -> bool {
        self.rows.iter().map(|(id, _)| id).eq(other.rows.iter().map(|(id, _)| id))
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
        let message = |fragment: &Fragment| partial(fragment).0;
        let messages = |fragments: &[Fragment]| fragments.iter().map(message).collect();
        let rows: &[Fragment] = page.list.as_ref().map_or(&[], |list| &list.rows);
        let container = page.list.as_ref().map(|list| &list.container);
        let shape = Shape {
            parts: Shape::of(&page.parts),
            rows: Shape::of(rows),
            container: container.map(|container| fingerprint(&container.html.0)),
        };
        Self {
            shape: Arc::new(shape),
            parts: messages(&page.parts),
            rows: messages(rows),
            container: container.map(message),
            ..Self::default()
        }
    }
}

impl Rendered {
    /// Whether a viewer who has the other one lacks nothing of this one.
    #[must_use]
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        self.shape == other.shape
    }

    /// All of it.
    fn whole(&self) -> Option<Bytes> {
        self.whole.get_or_init(|| event(self.parts.iter().chain(&self.container))).clone()
    }

    /// What a viewer lacks who has another rendering.
    fn since(&self, last: &Arc<Shape>) -> Option<Bytes> {
        let mut newer = self.newer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = newer.as_ref().filter(|newer| Arc::ptr_eq(&newer.than, last)) {
            return known.message.clone();
        }
        let message = self.news(last);
        *newer = Some(Newer { than: Arc::clone(last), message: message.clone() });
        message
    }

    fn news(&self, last: &Shape) -> Option<Bytes> {
        let mut news = changed(&self.shape.parts, &last.parts, &self.parts);
        if !self.shape.has_rows_of(last) {
            news.extend(&self.container);
        } else if self.rows.is_empty() {
            // What is not a row, such as the pager's total, changes with the rows or not at all.
            news.extend(self.container.as_ref().filter(|_| self.shape.container != last.container));
        } else {
            news.extend(changed(&self.shape.rows, &last.rows, &self.rows));
        }
        event(news)
    }
}

/// The messages of those that say something else than the last of the same id.
fn changed<'a>(shapes: &[(String, u64)], last: &[(String, u64)], messages: &'a [String]) -> Vec<&'a String> {
    let is_known = |at: usize, shape: &(String, u64)| last.get(at) == Some(shape) || last.contains(shape);
    let with_messages = shapes.iter().enumerate().zip(messages);
    with_messages.filter(|((at, shape), _)| !is_known(*at, shape)).map(|(_, message)| message).collect()
}

/// Parts as one event without a name; none if there are none.
fn event<'a>(parts: impl IntoIterator<Item = &'a String>) -> Option<Bytes> {
    let message: String = parts.into_iter().map(String::as_str).collect();
    if message.is_empty() {
        return None;
    }
    let mut event = String::with_capacity(message.len() + 64);
    // Each of these ends a line of an event.
    for line in message.replace("\r\n", "\n").split(['\n', '\r']) {
        event.push_str("data: ");
        event.push_str(line);
        event.push('\n');
    }
    event.push('\n');
    Some(event.into())
}

/// What one viewer has. It costs next to nothing: ten thousand viewers of a page share what they remember.
#[derive(Debug, Default)]
pub struct Seen(Option<Arc<Shape>>);

impl Seen {
    /// The event that brings the viewer up to date, or `None` if there is nothing new. On the first call everything
    /// is new: that is how a page that was rendered a moment ago, or slept in the background, comes to the truth.
    pub fn update(&mut self, page: &Rendered) -> Option<Bytes> {
        let last = self.0.replace(Arc::clone(&page.shape));
        match last {
            None => page.whole(),
            Some(last) if Arc::ptr_eq(&last, &page.shape) => None,
            Some(last) => page.since(&last),
        }
    }
}

#[cfg(test)]
mod tests {
    use maud::html;

    use super::{LiveList, LivePage, Rendered, event};
    use crate::views::fragment::Fragment;

    /// A viewer who reads what comes.
    #[derive(Default)]
    struct Seen(super::Seen);

    impl Seen {
        fn update(&mut self, page: &Rendered) -> Option<String> {
            self.0.update(page).map(|event| String::from_utf8(event.to_vec()).unwrap())
        }
    }

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

    #[test]
    fn viewers_who_have_the_same_share_the_bytes_of_what_they_are_sent() {
        let (first, second) = (page(&[("a", "x")]), page(&[("a", "y")]));
        let (mut one, mut two, mut late) = (super::Seen::default(), super::Seen::default(), super::Seen::default());
        let pointers = |one: Option<axum::body::Bytes>, two: Option<axum::body::Bytes>| (one.unwrap().as_ptr(), two.unwrap().as_ptr());
        let whole = pointers(one.update(&first), two.update(&first));
        assert_eq!(whole.0, whole.1);
        let news = pointers(one.update(&second), two.update(&second));
        assert_eq!(news.0, news.1);
        assert!(late.update(&second).unwrap().len() > second.since(&first.shape).unwrap().len(), "who has nothing gets all");
        assert!(second.says_the_same_as(&page(&[("a", "y")])) && !second.says_the_same_as(&first));
    }

    #[test]
    fn no_line_of_a_part_ends_the_event_or_begins_a_field() {
        let parts = ["<pre>a\nevent: gone\r\n\rid: 1</pre>".to_owned(), "<p></p>".to_owned()];
        let bytes = event(&parts).unwrap();
        assert_eq!(bytes, "data: <pre>a\ndata: event: gone\ndata: \ndata: id: 1</pre><p></p>\n\n");
        assert_eq!(event(&[]), None);
    }
}
