//! What holds for every page.

use scraper::{ElementRef, Html, Selector};
use web::views::layout::{Audience, Theme};

use super::samples::{self, Sample};

fn selector(text: &str) -> Selector {
    Selector::parse(text).unwrap()
}

fn parsed() -> Vec<(String, Html)> {
    samples::all(Theme::System).into_iter().map(|sample| (sample.name, Html::parse_document(&sample.html.0))).collect()
}

fn text(element: ElementRef<'_>) -> String {
    element.text().collect::<String>().trim().to_owned()
}

#[test]
fn no_page_has_inline_style_or_script() {
    for (name, page) in parsed() {
        for element in page.select(&selector("*")) {
            for (attribute, value) in element.value().attrs() {
                assert!(
                    attribute != "style" && !attribute.starts_with("on") && !attribute.starts_with("hx-on"),
                    "{name}: {attribute}={value}"
                );
                assert!(!value.trim_start().starts_with("javascript:") && !value.starts_with("js:"), "{name}: {attribute}={value}");
            }
        }
        assert_eq!(page.select(&selector("style")).count(), 0, "{name}");
        assert!(page.select(&selector("script")).all(|script| text(script).is_empty()), "{name}");
    }
}

/// Deferred, htmx would set the page up in the pause before its extension runs, and no stream would be opened; the others
/// run before the document is complete, which is what htmx waits for.
#[test]
fn htmx_runs_before_the_page_is_complete_and_its_extension_before_htmx_sets_the_page_up() {
    for (name, page) in parsed() {
        let scripts: Vec<_> = page.select(&selector("script")).map(|script| (script.attr("src"), script.attr("defer").is_some())).collect();
        let deferred: Vec<_> = scripts.iter().map(|(src, deferred)| (src.is_some_and(|src| src.contains("/htmx.")), *deferred)).collect();
        assert_eq!(deferred, [(true, false), (false, true), (false, true)], "{name}: {scripts:?}");
    }
}

#[test]
fn every_control_has_a_label() {
    for (name, page) in parsed() {
        for control in page.select(&selector("input:not([type=hidden]), select, textarea")) {
            let labelled = control.attr("aria-label").is_some()
                || control.attr("id").is_some_and(|id| page.select(&selector(&format!("label[for={id}]"))).next().is_some())
                || control
                    .ancestors()
                    .filter_map(ElementRef::wrap)
                    .any(|parent| parent.value().name() == "label" && !text(parent).is_empty());
            assert!(labelled, "{name}: {}", control.html());
        }
        for button in page.select(&selector("button, a")) {
            assert!(button.attr("aria-label").is_some() || !text(button).is_empty(), "{name}: {}", button.html());
        }
        for described in page.select(&selector("[aria-describedby]")) {
            for id in described.attr("aria-describedby").unwrap().split(' ') {
                assert!(page.select(&selector(&format!("#{id}"))).next().is_some(), "{name}: nothing has the id {id}");
            }
        }
    }
}

#[test]
fn no_page_uses_an_id_twice_and_every_menu_button_has_its_menu() {
    for (name, page) in parsed() {
        let mut ids: Vec<&str> = page.select(&selector("[id]")).filter_map(|element| element.attr("id")).collect();
        ids.sort_unstable();
        let twice: Vec<_> = ids.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert!(twice.is_empty(), "{name}: {twice:?}");
        for button in page.select(&selector("[popovertarget]")) {
            assert!(ids.contains(&button.attr("popovertarget").unwrap()), "{name}: {}", button.html());
        }
    }
}

#[test]
fn every_page_has_one_main_heading_a_title_and_a_main_element() {
    for (name, page) in parsed() {
        assert_eq!(page.select(&selector("h1")).count(), 1, "{name}");
        assert_eq!(page.select(&selector("main#main")).count(), 1, "{name}");
        assert!(text(page.select(&selector("title")).next().unwrap()).ends_with(" · Gantry"), "{name}");
    }
}

#[test]
fn forms_never_nest_and_what_they_change_is_posted() {
    for (name, page) in parsed() {
        for form in page.select(&selector("form")) {
            assert_eq!(form.select(&selector("form")).count(), 0, "{name}");
            assert!(matches!(form.attr("method"), Some("get" | "post")), "{name}: {}", form.html());
        }
    }
    // The parser drops a nested form's start tag, so the text is counted as well.
    for sample in samples::all(Theme::System) {
        let html = sample.html.0;
        let mut open = 0_i32;
        for (at, _) in html.match_indices("form") {
            if html[..at].ends_with('<') {
                open += 1;
            } else if html[..at].ends_with("</") {
                open -= 1;
            }
            assert!((0..=1).contains(&open), "{}: a form inside a form", sample.name);
        }
    }
}

#[test]
fn a_client_never_sees_raw_output() {
    let clients: Vec<Sample> = samples::all(Theme::System).into_iter().filter(|sample| sample.audience != Some(Audience::Admin)).collect();
    assert!(!clients.is_empty());
    for sample in clients {
        assert!(!sample.html.0.contains("RAW-"), "{}", sample.name);
    }
    let admin = samples::all(Theme::System).into_iter().find(|sample| sample.name == "admin-operation-failed").unwrap();
    assert!(admin.html.0.contains("RAW-DETAIL of nginx test") && admin.html.0.contains("RAW-FAILURE"));
}

#[test]
fn what_the_worker_began_before_is_shown_with_its_steps_and_its_reason() {
    let admin = samples::all(Theme::System).into_iter().find(|sample| sample.name == "admin-operation-record").unwrap();
    let text: String = Html::parse_document(&admin.html.0).root_element().text().collect();
    assert!(text.contains("begun 2 times") && text.contains("Begun the first time"), "{text}");
    assert!(text.contains("service_down: nginx refused its new configuration and serves as before"), "{text}");
}

#[test]
fn an_earlier_attempt_is_shown_with_its_batch_its_plan_and_what_it_would_have_changed() {
    let admin = samples::all(Theme::System).into_iter().find(|sample| sample.name == "admin-operation-record").unwrap();
    let page = Html::parse_document(&admin.html.0);
    let details = selector("details");
    let texts = page.select(&details).map(|details| details.text().collect::<String>());
    let earlier: Vec<String> = texts.filter(|text| text.starts_with("Attempt 1")).collect();
    assert_eq!(earlier.len(), 1);
    let diff = "+    server_name lindqvist.example www.lindqvist.example;";
    for said in ["together with 6 other jobs", "Plan, 3 actions", diff, "RAW-EARLIER"] {
        assert!(earlier[0].contains(said), "{said}: {}", earlier[0]);
    }
}

#[test]
fn what_was_typed_is_escaped_and_kept() {
    let sample = samples::all(Theme::System).into_iter().find(|sample| sample.name == "client-site-new-refused").unwrap();
    assert!(!sample.html.0.contains("<b>\""));
    let page = Html::parse_document(&sample.html.0);
    let domain = page.select(&selector("#domain")).next().unwrap();
    assert_eq!((domain.attr("value"), domain.attr("aria-invalid")), (Some("http://x/<b>"), Some("true")));
}

#[test]
fn a_busy_page_loads_again_by_itself_without_scripts_and_a_calm_one_does_not() {
    let refreshes = |name: &str| {
        let sample = samples::all(Theme::System).into_iter().find(|sample| sample.name == name).unwrap();
        sample.html.0.contains("<noscript><meta http-equiv=\"refresh\"")
    };
    assert!(refreshes("client-site-provisioning"));
    assert!(!refreshes("client-site-active"));
    assert!(!refreshes("client-account-active"), "a password shown once must not be lost by a reload");
}

#[test]
fn every_table_cell_that_needs_one_has_a_label_for_phones() {
    for (name, page) in parsed() {
        for row in page.select(&selector("main tbody > tr:not(.row-detail)")) {
            let main = row.select(&selector("td.main")).count();
            assert_eq!(main, 1, "{name}: a row without its main cell: {}", row.html());
        }
    }
}
