//! Differences between a server and what is wanted of it, line by line.

use maud::{Markup, html};
use shared::difference::Difference;

/// All of them; those of files can be folded away.
#[must_use]
pub fn differences(all: &[Difference]) -> Markup {
    html! {
        div.stack.differences {
            // What stands in a row and is no file is one list.
            @for some in all.chunk_by(|one, next| is_fact(one) && is_fact(next)) {
                @match some {
                    [Difference::File { path, diff }] => {
                        details.more open { summary { span.mono { (path) } } (lines(diff)) }
                    }
                    facts => { ul.bullets { @for fact in facts { (line_of(fact)) } } }
                }
            }
        }
    }
}

const fn is_fact(difference: &Difference) -> bool {
    matches!(difference, Difference::Fact { .. })
}

fn line_of(difference: &Difference) -> Markup {
    match difference {
        Difference::Fact { text } => html! { li { (text) } },
        Difference::File { path, .. } => html! { li { (path) } },
    }
}

/// A unified diff. What a line means is said by its first character, and shown by a colour as well.
#[must_use]
pub fn lines(diff: &str) -> Markup {
    html! {
        pre.pre.framed.diff tabindex="0" {
            @for line in diff.lines() {
                span class=(class(line)) { (line) "\n" }
            }
        }
    }
}

fn class(line: &str) -> &'static str {
    match line.bytes().next() {
        Some(b'+') => "diff-line add",
        Some(b'-') => "diff-line del",
        Some(b'@') => "diff-line hunk",
        _ => "diff-line",
    }
}
