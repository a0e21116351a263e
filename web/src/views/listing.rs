//! What a list shows: read from the address, and written back to it by every link of the list.

use crate::paths;

/// Search, filter, sort and page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The list's path.
    pub path: String,
    /// The search text (`q`).
    pub q: String,
    /// The key of the chosen filter (`state`); empty for all.
    pub state: String,
    /// The key of the column sorted by (`sort`); empty for the list's own order.
    pub sort: String,
    /// Whether it is sorted downwards (`dir=desc`).
    pub descending: bool,
    /// The page, from 1 (`page`).
    pub page: u64,
    /// Rows per page.
    pub per_page: u64,
    /// Rows in all pages.
    pub total: u64,
    /// Further filters of this list, such as `server`.
    pub extra: Vec<(String, String)>,
}

impl Listing {
    /// The first page of a list.
    #[must_use]
    pub fn new(path: &str, per_page: u64, total: u64) -> Self {
        Self { path: path.to_owned(), page: 1, per_page, total, ..Self::default() }
    }

    /// Whether something narrows the list.
    #[must_use]
    pub fn is_narrowed(&self) -> bool {
        !self.q.is_empty() || !self.state.is_empty() || self.extra.iter().any(|(_, value)| !value.is_empty())
    }

    /// The address of this list as it is.
    #[must_use]
    pub fn url(&self) -> String {
        let page = if self.page > 1 { self.page.to_string() } else { String::new() };
        let direction = if self.descending { "desc" } else { "" };
        let own = [("q", self.q.as_str()), ("state", &self.state), ("sort", &self.sort), ("dir", direction), ("page", &page)];
        let extra = self.extra.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        paths::with_query(&self.path, own.into_iter().chain(extra))
    }

    /// The address with another filter, from its first page.
    #[must_use]
    pub fn with_state(&self, state: &str) -> String {
        Self { state: state.to_owned(), page: 1, ..self.clone() }.url()
    }

    /// The address sorted by a column; the same column again turns the order round.
    #[must_use]
    pub fn with_sort(&self, sort: &str) -> String {
        let descending = self.sort == sort && !self.descending;
        Self { sort: sort.to_owned(), descending, page: 1, ..self.clone() }.url()
    }

    /// The address of another page.
    #[must_use]
    pub fn with_page(&self, page: u64) -> String {
        Self { page, ..self.clone() }.url()
    }

    /// What a further filter of this list is set to; empty for all.
    #[must_use]
    pub fn extra(&self, key: &str) -> &str {
        self.extra.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// The address with a further filter set, or lifted by an empty value, from its first page.
    #[must_use]
    pub fn with_extra(&self, key: &str, value: &str) -> String {
        let mut extra: Vec<_> = self.extra.iter().filter(|(name, _)| name != key).cloned().collect();
        extra.push((key.to_owned(), value.to_owned()));
        Self { extra, page: 1, ..self.clone() }.url()
    }

    /// The address without search and filters.
    #[must_use]
    pub fn cleared(&self) -> String {
        Self { path: self.path.clone(), sort: self.sort.clone(), descending: self.descending, ..Self::default() }.url()
    }

    /// The last page's number, at least 1.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.total.div_ceil(self.per_page.max(1)).max(1)
    }
}
