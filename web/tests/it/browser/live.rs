//! Pages that change before one's eyes, without being loaded again.

use serde_json::Value;

use super::person::Person;
use super::{Scripts, with_browser};

/// Notes every word that the title's badge and the steps show from now on, in the page itself: a page that is loaded
/// again has forgotten.
const WATCH: &str = "
    window.seenBadges = [];
    window.seenSteps = new Set();
    const look = () => {
      const badge = document.querySelector('main .page-head .badge')?.textContent.trim();
      if (badge && window.seenBadges.at(-1) !== badge) window.seenBadges.push(badge);
      for (const step of document.querySelectorAll('main .steps li > span:nth-of-type(1)')) window.seenSteps.add(step.textContent);
    };
    look();
    new MutationObserver(look).observe(document.body, { childList: true, subtree: true, characterData: true, attributes: true });
";

async fn watch(person: &Person) {
    person.driver.execute(WATCH, Vec::new()).await.expect("the page is watched");
}

async fn badges(person: &Person) -> Vec<String> {
    serde_json::from_value(person.ask("window.seenBadges ?? []").await).expect("words")
}

#[test]
fn two_tabs_see_a_sites_steps_arrive_and_the_badge_settle_without_loading_again() {
    with_browser(Scripts::On, async |person| {
        person.hosted_with_site("live").await;
        let page = person.path().await;

        let first = person.driver.window().await.expect("a window");
        let second = person.driver.new_window().await.expect("another window");
        person.driver.switch_to_window(second.clone()).await.expect("the other window");
        person.go(&page).await;
        connected(person).await;
        watch(person).await;
        person.driver.switch_to_window(first.clone()).await.expect("the first window");
        person.go(&page).await;
        connected(person).await;
        watch(person).await;

        // A third party asks: neither window is loaded again by it.
        let third = person.driver.new_window().await.expect("a third window");
        person.driver.switch_to_window(third).await.expect("the third window");
        person.go(&page).await;
        person.element("button[popovertarget=site-menu]").await.click().await.expect("the menu opens");
        person.press("Suspend").await;
        person.press("Suspend site").await;
        person.until_badge("Suspended").await;

        for window in [first, second] {
            person.driver.switch_to_window(window).await.expect("a window");
            person.until_badge("Suspended").await;
            let badges = badges(person).await;
            assert_eq!(badges.first().map(String::as_str), Some("Active"), "the page was not loaded again: {badges:?}");
            assert_eq!(badges.last().map(String::as_str), Some("Suspended"));
            assert_eq!(person.complaints().await, Vec::<String>::new());
        }
    });
}

#[test]
fn a_new_site_shows_its_steps_as_they_happen_and_becomes_active_in_place() {
    with_browser(Scripts::On, async |person| {
        let hosted = person.hosted("steps").await;

        // From the moment the page exists it is watched.
        person
            .cdp(
                "Page.addScriptToEvaluateOnNewDocument",
                serde_json::json!({ "source": format!("addEventListener('DOMContentLoaded', () => {{ {WATCH} }});") }),
            )
            .await;
        person.create_site(&hosted.user, &hosted.domain).await;
        person.until_badge("Active").await;

        let badges = badges(person).await;
        assert_eq!(badges.last().map(String::as_str), Some("Active"), "{badges:?}");
        assert!(badges.len() >= 2, "the badge settled in place: {badges:?}");
        let steps = person.ask("[...window.seenSteps]").await;
        assert!(steps.as_array().is_some_and(|steps| steps.len() >= 3), "the steps were seen: {steps}");
        // What a reload shows is what was there.
        let before = visible(person).await;
        person.driver.refresh().await.expect("the page is loaded again");
        assert_eq!(visible(person).await, before);
    });
}

/// A part of a page with two folds, brought in anew as the live stream does it; whether each is open then.
const BRING_IN: &str = "(async () => {
    const main = document.querySelector('main');
    main.insertAdjacentHTML('beforeend', '<div id=\"folds\"><p>old</p><details><summary>a</summary></details><details open><summary>b</summary></details></div>');
    const part = document.getElementById('folds');
    const text = part.outerHTML.replace('>old<', '>new<');
    const [folded, unfolded] = part.querySelectorAll('details');
    [folded.open, unfolded.open] = [true, false];
    await htmx.swap({ text, target: part, swap: 'outerMorph', sourceElement: document.body });
    return [document.querySelector('#folds p').textContent, ...[...document.querySelectorAll('#folds details')].map((fold) => fold.open)];
})()";

#[test]
fn what_a_person_has_unfolded_or_folded_away_stays_so_when_news_of_it_comes_in() {
    with_browser(Scripts::On, async |person| {
        person.go("/").await;
        assert_eq!(person.ask(BRING_IN).await, serde_json::json!(["new", true, false]));
    });
}

/// Presses keys at the first chart; what it says after each.
const READ_CHART: &str = "(() => {
    const plot = document.querySelector('[data-readout]');
    const moments = plot.dataset.readout.split('|');
    plot.focus();
    return ['End', 'ArrowLeft', 'Home', 'ArrowLeft'].map((key) => {
      plot.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
      return moments.indexOf(plot.querySelector('.readout').textContent) - moments.length;
    });
})()";

/// Reads a chart's moment before its last, has news of the chart come in, and reads on; what it says each time.
const READ_ON: &str = "(async () => {
    const plot = document.querySelector('[data-readout]');
    const moments = plot.dataset.readout.split('|');
    const text = plot.outerHTML;
    plot.focus();
    const says = () => moments.indexOf(document.querySelector('[data-readout] .readout').textContent) - moments.length;
    const press = (key) => document.querySelector('[data-readout]').dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
    press('End');
    press('ArrowLeft');
    await htmx.swap({ text, target: plot, swap: 'outerMorph', sourceElement: document.body });
    const after = says();
    press('ArrowLeft');
    return [after, says()];
})()";

#[test]
fn a_chart_is_read_with_the_keys_and_news_of_it_do_not_lose_the_place() {
    with_browser(Scripts::On, async |person| {
        person.go("/").await;
        assert_eq!(person.ask(READ_CHART).await, serde_json::json!([-1, -2, -60, -60]));
        assert_eq!(person.ask(READ_ON).await, serde_json::json!([-2, -3]));
    });
}

#[test]
fn lists_and_home_follow_without_loading_again() {
    with_browser(Scripts::On, async |person| {
        let hosted = person.hosted("list").await;
        let domain = &hosted.domain;
        let mut windows = Vec::new();
        for page in ["/sites", "/", hosted.account.as_str(), "/operations"] {
            let window = person.driver.new_window().await.expect("a window");
            person.driver.switch_to_window(window.clone()).await.expect("the window");
            person.go(page).await;
            connected(person).await;
            person.driver.execute("window.untouched = true;", Vec::new()).await.expect("a mark");
            windows.push((page.to_owned(), window));
        }
        let asks = person.driver.new_window().await.expect("a window");
        person.driver.switch_to_window(asks).await.expect("the window");
        person.create_site(&hosted.user, domain).await;
        person.until_badge("Active").await;
        for (page, window) in windows {
            person.driver.switch_to_window(window).await.expect("the window");
            person
                .until(&format!("{page} shows the new site"), &format!("document.querySelector('main').textContent.includes('{domain}')"))
                .await;
            assert_eq!(person.ask("window.untouched ?? false").await, Value::Bool(true), "{page} was not loaded again");
            assert_eq!(person.complaints().await, Vec::<String>::new(), "{page}");
        }
    });
}

#[test]
fn the_page_of_a_deleted_site_says_so_by_itself() {
    with_browser(Scripts::On, async |person| {
        let hosted = person.hosted_with_site("gone").await;
        connected(person).await;
        let page = person.path().await;
        let watching = person.driver.window().await.expect("a window");
        let other = person.driver.new_window().await.expect("another window");
        person.driver.switch_to_window(other).await.expect("the other window");
        person.go(&page).await;
        person.delete_site(&hosted.domain).await;
        person.driver.switch_to_window(watching).await.expect("the first window");
        person.until("the page says that it is gone", "document.title.startsWith('There is nothing here')").await;
        assert!(person.ask("document.querySelectorAll('main a[href]').length").await.as_u64() > Some(0), "with ways on");
    });
}

#[test]
fn a_dropped_stream_shows_a_quiet_mark_and_comes_back_to_the_truth() {
    with_browser(Scripts::On, async |person| {
        person.hosted_with_site("drop").await;
        let page = person.path().await;
        connected(person).await;

        let watching = person.driver.window().await.expect("a window");
        network(person, true).await;
        // A network that is gone does not end a connection that is open: this end hangs up.
        person.driver.execute("document.getElementById('live')._htmx.sse.reader.cancel();", Vec::new()).await.expect("it hangs up");
        person.until("the mark", "document.querySelector('[data-reconnecting]').hidden === false").await;

        let other = person.driver.new_window().await.expect("another window");
        person.driver.switch_to_window(other).await.expect("the other window");
        person.go(&page).await;
        person.element("button[popovertarget=site-menu]").await.click().await.expect("the menu opens");
        person.press("Suspend").await;
        person.press("Suspend site").await;
        person.until_badge("Suspended").await;

        person.driver.switch_to_window(watching).await.expect("the first window");
        assert_eq!(person.badge().await, "Active", "nothing came through");
        network(person, false).await;
        person.until_badge("Suspended").await;
        person.until("no mark", "document.querySelector('[data-reconnecting]').hidden").await;
    });
}

/// Cuts one window off, or lets it back.
async fn network(person: &Person, offline: bool) {
    person.cdp("Network.enable", serde_json::json!({})).await;
    let conditions = serde_json::json!({ "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1 });
    person.cdp("Network.emulateNetworkConditions", conditions).await;
}

/// Waits until the page's stream is there.
async fn connected(person: &Person) {
    person.until("the live stream is there", "document.getElementById('live')?._htmx?.sse?.reader").await;
}

/// What one reads, without what passes with time.
async fn visible(person: &Person) -> String {
    person
        .ask(
            "[...document.querySelectorAll('main .page-head h1, main .status-slot, main .kv')]\
             .map((part) => part.innerText.replaceAll(/\\d+ (s|min) ago|just now/g, '')).join('\\n')",
        )
        .await
        .as_str()
        .unwrap_or_default()
        .to_owned()
}
