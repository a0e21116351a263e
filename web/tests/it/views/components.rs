//! Words and numbers as people read them, and addresses.

use web::paths;
use web::views::components::stat::{count, counted, size_mib};
use web::views::components::time::{ago_text, duration_ms, until_text};
use web::views::listing::Listing;

use super::models::{ago, id, now};

#[test]
fn numbers_have_commas_units_and_nouns() {
    assert_eq!([0, 7, 999, 1_000, 1_186, 1_234_567].map(count), ["0", "7", "999", "1,000", "1,186", "1,234,567"]);
    assert_eq!([0, 1, 8].map(|n| counted(n, "site", "sites")), ["no sites", "1 site", "8 sites"]);
    assert_eq!([0, 640, 1_024, 4_301, 102_400, 2_097_152].map(size_mib), ["0 MB", "640 MB", "1 GB", "4.2 GB", "100 GB", "2 TB"]);
}

#[test]
fn times_are_told_as_one_would() {
    let told = [0, 12, 200, 7_200, 90_000, 300_000].map(|seconds| ago_text(ago(seconds), now()));
    assert_eq!(told, ["just now", "12 s ago", "3 min ago", "2 h ago", "yesterday", "3 days ago"]);
    assert_eq!(ago_text(ago(900 * 86_400), now()), "4 June 2024");
    assert_eq!(until_text(ago(-2_520), now()), "in 42 min");
    assert_eq!([0, 38, 3_140, 125_000].map(duration_ms), ["under 1 ms", "38 ms", "3.1 s", "2 min 5 s"]);
}

#[test]
fn a_list_writes_itself_back_into_its_address() {
    let listing = Listing { q: "a b&c".to_owned(), state: "failed".to_owned(), page: 3, ..Listing::new("/sites", 50, 200) };
    assert_eq!(listing.url(), "/sites?q=a%20b%26c&state=failed&page=3");
    assert_eq!(listing.with_state(""), "/sites?q=a%20b%26c");
    assert_eq!(listing.with_sort("domain"), "/sites?q=a%20b%26c&state=failed&sort=domain");
    let sorted = Listing { sort: "domain".to_owned(), ..listing.clone() };
    assert_eq!(sorted.with_sort("domain"), "/sites?q=a%20b%26c&state=failed&sort=domain&dir=desc");
    assert_eq!((listing.pages(), listing.cleared()), (4, "/sites".to_owned()));
}

#[test]
fn a_link_fits_its_route() {
    let site = "01937a00-0000-7000-8000-000000000029";
    assert_eq!(paths::site_suspend(id(41)), format!("/sites/{site}/suspend"));
    assert_eq!(paths::account_php(id(41), "8.3".parse().unwrap()), format!("/accounts/{site}/php/8.3"));
    assert_eq!(paths::static_file("app.css"), "/static/app.css");
}
