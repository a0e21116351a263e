//! A browser without JavaScript: plain forms, and pages that load themselves again while something is under way.

use super::person::fresh;
use super::{Scripts, with_browser};

#[test]
fn without_scripts_a_site_is_created_by_plain_forms_and_its_page_loads_again_until_it_is_active() {
    with_browser(Scripts::Off, async |person| {
        let (login, user) = (fresh("plain"), fresh("acc"));
        let domain = format!("{user}.localhost");
        person.create_client(&login).await;
        person.create_account(&login, &user).await;
        person.create_site(&user, &domain).await;
        person.until_badge("Active").await;
        let page = person.path().await;
        person.until_site_says(&domain, &domain).await;

        person.go(&page).await;
        person.element("button[popovertarget=site-menu]").await.click().await.expect("the menu opens without scripts");
        person.press("Suspend").await;
        person.press("Preview").await;
        person.until("what would change is shown when asked for", "document.querySelector('#preview h2')").await;
        person.press("Suspend site").await;
        person.until_badge("Suspended").await;

        person.delete_site(&domain).await;
        person.go(&page).await;
        person.until("a site that is gone says so", "document.title.startsWith('There is nothing here')").await;
    });
}

#[test]
fn without_scripts_nothing_is_shown_that_would_not_work() {
    with_browser(Scripts::Off, async |person| {
        person.go("/servers/new").await;
        assert_eq!(
            person.ask("[...document.querySelectorAll('[data-copy], [data-tile-filter]')].every((element) => element.hidden)").await,
            true
        );
        person.element(".topbar button[name=theme][value=dark]").await.click().await.expect("a button");
        person.until("the theme is chosen by a plain form", "document.documentElement.dataset.theme === 'dark'").await;
    });
}
