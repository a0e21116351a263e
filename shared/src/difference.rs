//! How something on a host differs from how it should be: what drift is shown as, and what a change will do before it is made.
//!
//! **Read from the host to what is wanted**: lines with `-` are there now, lines with `+` will be.
//! **Nothing secret is in it**: of a password it says that it differs. **Everything is bounded.**

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use similar::{Algorithm, TextDiff};

/// One difference. For admins, and for whoever owns the resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Difference {
    /// A file holds something else.
    File {
        /// Which.
        path: String,
        /// A unified diff, without the two lines that name the files.
        diff: String,
    },
    /// Anything else, as a sentence.
    Fact {
        /// The sentence.
        text: String,
    },
}

impl Difference {
    /// Its length, for bounds.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::File { path, diff } => path.len() + diff.len(),
            Self::Fact { text } => text.len(),
        }
    }

    /// Whether it says nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// As many of the differences as fit into so many bytes, and how many were left out, in words.
#[must_use]
pub fn bounded(differences: Vec<Difference>, most: usize) -> Vec<Difference> {
    let (mut kept, mut length, all) = (Vec::new(), 0, differences.len());
    for difference in differences {
        length += difference.len();
        if length > most && !kept.is_empty() {
            let text = format!("{} more differences are not shown.", all - kept.len());
            kept.push(Difference::Fact { text });
            return kept;
        }
        kept.push(difference);
    }
    kept
}

/// Longer texts are compared by nobody.
const LONGEST_TEXT: usize = 256 * 1024;
/// A longer diff is cut.
const LONGEST_DIFF: usize = 8 * 1024;
/// Lines around a change.
const CONTEXT: usize = 3;
/// Two texts that have nothing in common are shown as one after the other.
const PATIENCE: Duration = Duration::from_millis(100);

/// The unified diff of two texts; empty if they are the same.
#[must_use]
pub fn unified(before: &str, after: &str) -> String {
    if before == after {
        return String::new();
    }
    if before.len() > LONGEST_TEXT || after.len() > LONGEST_TEXT {
        return format!("# {} bytes before, {} bytes after: too long to compare.\n", before.len(), after.len());
    }
    let diff = TextDiff::configure().algorithm(Algorithm::Myers).timeout(PATIENCE).diff_lines(before, after);
    let mut text = String::new();
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{hunk}");
    }
    cut(text)
}

/// Cut at the end of a line, saying so.
fn cut(mut text: String) -> String {
    if text.len() <= LONGEST_DIFF {
        return text;
    }
    let mut end = LONGEST_DIFF;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    end = text[..end].rfind('\n').map_or(end, |line| line + 1);
    text.truncate(end);
    text.push_str("# The rest is not shown.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::{Difference, LONGEST_DIFF, bounded, unified};

    #[test]
    fn a_diff_reads_from_what_is_there_to_what_is_wanted() {
        assert_eq!(unified("a\nb\nc\n", "a\nB\nc\n"), "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n");
        assert_eq!(unified("same\n", "same\n"), "");
        assert_eq!(unified("", "new\n"), "@@ -0,0 +1 @@\n+new\n");
    }

    #[test]
    fn a_long_diff_is_cut_at_a_line_and_a_long_text_is_not_compared() {
        let long: String = (0..5000).map(|line| format!("ä line {line}\n")).collect();
        let diff = unified("", &long);
        assert!(diff.len() < LONGEST_DIFF + 100 && diff.ends_with("\n# The rest is not shown.\n"));
        assert!(unified(&"x".repeat(300_000), "y").starts_with("# 300000 bytes before"));
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let fact = |text: &str| Difference::Fact { text: text.to_owned() };
        let all = vec![fact(&"a".repeat(60)), fact(&"b".repeat(60)), fact("c")];
        assert_eq!(bounded(all.clone(), 200), all);
        assert_eq!(bounded(all, 100)[1], fact("2 more differences are not shown."));
    }
}
