//! What every list query takes and gives.

use shared::ids::UserId;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::StoreError;

/// Whose resources a query may see. **Every list and fetch takes one**, and it is part of the WHERE clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visible {
    /// Everybody's: an admin asks.
    All,
    /// Those of one owner.
    Of(UserId),
}

impl Visible {
    /// The owner to compare with; empty for all.
    pub(crate) fn owner(self) -> String {
        match self {
            Self::All => String::new(),
            Self::Of(user) => user.to_string(),
        }
    }
}

/// Which part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paging {
    /// At most this many rows.
    pub limit: i64,
    /// After this many.
    pub offset: i64,
}

impl Paging {
    /// A numbered page, from 1.
    #[must_use]
    pub fn page(number: i64, size: i64) -> Self {
        let size = size.clamp(1, 500);
        Self { limit: size, offset: number.clamp(1, 1_000_000).saturating_sub(1) * size }
    }
}

/// A part of a list, and how long the whole is.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// How many rows there are without paging.
    pub total: i64,
}

/// States of accounts and sites as lists filter them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateGroup {
    /// Proved to work.
    Active,
    /// A change is on its way.
    Busy,
    /// The last change failed.
    Failed,
    /// Switched off.
    Suspended,
}

impl StateGroup {
    /// All groups.
    pub const ALL: [Self; 4] = [Self::Active, Self::Busy, Self::Failed, Self::Suspended];

    /// The spelling in addresses and in SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Busy => "busy",
            Self::Failed => "failed",
            Self::Suspended => "suspended",
        }
    }

    /// The group of a filter's text, if it is one.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.as_str() == text)
    }
}

/// How many resources each group has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupCounts {
    /// All.
    pub all: i64,
    /// Proved to work.
    pub active: i64,
    /// A change is on its way.
    pub busy: i64,
    /// The last change failed.
    pub failed: i64,
    /// Switched off.
    pub suspended: i64,
}

impl GroupCounts {
    /// How many there are of one group, or of all.
    #[must_use]
    pub const fn of(self, group: Option<StateGroup>) -> i64 {
        match group {
            None => self.all,
            Some(StateGroup::Active) => self.active,
            Some(StateGroup::Busy) => self.busy,
            Some(StateGroup::Failed) => self.failed,
            Some(StateGroup::Suspended) => self.suspended,
        }
    }

    /// Adds up rows of `state_group` and `n`.
    pub(crate) fn of_rows(rows: &[AnyRow]) -> Result<Self, StoreError> {
        let mut counts = Self::default();
        for row in rows {
            let count: i64 = row.try_get("n")?;
            counts.all += count;
            match StateGroup::of(row.try_get("state_group")?) {
                Some(StateGroup::Active) => counts.active += count,
                Some(StateGroup::Busy) => counts.busy += count,
                Some(StateGroup::Failed) => counts.failed += count,
                Some(StateGroup::Suspended) => counts.suspended += count,
                None => {}
            }
        }
        Ok(counts)
    }
}

/// SQL that gives the group of a state column, as a literal.
macro_rules! state_group {
    ($column:literal) => {
        concat!("CASE WHEN ", $column, " IN ('provisioning', 'updating', 'deleting') THEN 'busy' ELSE ", $column, " END")
    };
}
pub(crate) use state_group;

/// Which way a list is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Smallest first.
    #[default]
    Ascending,
    /// Largest first.
    Descending,
}

impl Direction {
    pub(crate) const fn sql(self) -> &'static str {
        match self {
            Self::Ascending => "ASC",
            Self::Descending => "DESC",
        }
    }
}

/// A LIKE pattern for "contains", without wildcards of the searcher's. Empty means everything. It is compared with `LOWER(..)`:
/// beside a bare column SQLite prepares the statement anew for each pattern, in case an index helps.
pub(crate) fn contains(search: &str) -> String {
    let search = search.trim().to_lowercase();
    if search.is_empty() {
        return String::new();
    }
    let escaped: String = search
        .chars()
        .take(200)
        .flat_map(|c| if matches!(c, '%' | '_' | '\\') { vec!['\\', c] } else { vec![c] })
        .filter(|c| *c != '\0')
        .collect();
    format!("%{escaped}%")
}

/// So many placeholders, from this number on: `$4, $5`.
pub(crate) fn placeholders(from: usize, many: usize) -> String {
    (from..from + many).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{Paging, contains};

    #[test]
    fn wildcards_in_a_search_stand_for_themselves() {
        assert_eq!(contains(" 50%_A\\ "), "%50\\%\\_a\\\\%");
        assert_eq!(contains("  "), "");
    }

    #[test]
    fn pages_count_from_one_and_never_go_negative() {
        assert_eq!(Paging::page(1, 50), Paging { limit: 50, offset: 0 });
        assert_eq!(Paging::page(3, 50), Paging { limit: 50, offset: 100 });
        assert_eq!(Paging::page(-7, 0), Paging { limit: 1, offset: 0 });
    }
}
