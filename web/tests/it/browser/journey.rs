//! From signing in to a deleted site, by the forms a person finds.

use thirtyfour::prelude::By;

use super::person::{Hosted, fresh};
use super::{Scripts, with_browser};

#[test]
fn a_person_creates_a_client_an_account_and_a_site_sees_it_answer_suspends_it_and_deletes_it() {
    with_browser(Scripts::On, async |person| {
        let (login, user) = (fresh("client"), fresh("acc"));
        let domain = format!("{user}.localhost");
        assert!(!person.create_client(&login).await.is_empty());
        person.create_account(&login, &user).await;
        person.create_site(&user, &domain).await;
        person.until_badge("Active").await;
        let page = person.path().await;

        person.until_site_says(&domain, &domain).await;

        person.go(&page).await;
        person.element("button[popovertarget=site-menu]").await.click().await.expect("the menu opens");
        person.press("Suspend").await;
        person.until("what would change is shown by itself", "document.querySelector('#preview h2')").await;
        person.press("Suspend site").await;
        person.until_badge("Suspended").await;
        person.until_site_says(&domain, "suspended").await;

        person.go(&page).await;
        person.element("button[popovertarget=site-menu]").await.click().await.expect("the menu opens");
        person.press("Bring back").await;
        person.press("Bring site back").await;
        person.until_badge("Active").await;

        person.go(&format!("{page}/delete")).await;
        person.fill("confirm", "something-else.localhost").await;
        assert!(
            !person.element("main button[type=submit].is-danger").await.is_enabled().await.expect("a button"),
            "another name deletes nothing"
        );
        person.delete_site(&domain).await;
        person.go("/sites").await;
        let row = format!("[...document.querySelectorAll('main .name')].some((name) => name.textContent === '{domain}')");
        person.until("the site's row goes", &format!("!({row})")).await;
        assert_eq!(person.complaints().await, Vec::<String>::new());
    });
}

#[test]
fn a_refused_form_keeps_what_was_typed_and_says_what_is_wrong() {
    with_browser(Scripts::On, async |person| {
        let login = fresh("kept");
        person.go("/clients/new").await;
        person.fill("name", "Kept As Typed").await;
        person.fill("login", "not a login").await;
        person.press("Create client").await;
        person.until("an error beside the field", "document.querySelector('main #login-error')").await;
        assert_eq!(person.ask("document.getElementById('name').value").await, "Kept As Typed");
        assert_eq!(person.ask("document.getElementById('login').value").await, "not a login");
        person.fill("login", &login).await;
        person.press("Create client").await;
        person.until("the one-time password", "document.querySelector('main .secret code')").await;
        assert_eq!(person.complaints().await, Vec::<String>::new());
    });
}

#[test]
fn a_client_signs_in_with_the_one_time_password_and_finds_only_their_own() {
    with_browser(Scripts::On, async |person| {
        let Hosted { login: other, user: foreign, account: elsewhere, .. } = person.hosted("other").await;
        let Hosted { login: mine, once, user, domain, .. } = person.hosted("mine").await;
        person.sign_out().await;

        person.sign_in(&mine, &once).await;
        person.choose_password(&once, "four-calm-otters-17").await;
        person.until_path("/").await;
        person.create_site(&user, &domain).await;
        person.until_badge("Active").await;

        person.go(&elsewhere).await;
        let text = person.main_text().await;
        assert!(!text.contains(&foreign), "a foreign account is not there: {text}");
        for page in ["/", "/sites", "/accounts", "/operations"] {
            person.go(page).await;
            let text = person.main_text().await;
            assert!(!text.contains(&foreign) && !text.contains(&other), "{page} shows what is not theirs: {text}");
            let links = person.driver.find_all(By::Css("a[href^='/servers'], a[href^='/clients']")).await.expect("links");
            assert!(links.is_empty(), "{page} leads to pages for admins");
        }
        assert_eq!(person.complaints().await, Vec::<String>::new());
    });
}
