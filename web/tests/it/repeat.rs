//! The same form sent twice is one operation, and both answers lead to the same place.

use scraper::{Html, Selector};

use crate::support::app::Browser;
use crate::support::fleet::Town;

async fn operations(town: &Town) -> i64 {
    let (count,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM operations").fetch_one(town.app.db().read()).await.unwrap();
    count
}

/// The key of the question before a change, to which a page leads.
async fn question_key(browser: &mut Browser, page: &str, action: &str) -> String {
    let html = Html::parse_document(&browser.get(page).await.body);
    let link = Selector::parse(&format!("a[href='{action}']")).unwrap();
    assert!(html.select(&link).next().is_some(), "{page} leads to {action}");
    browser.get(action).await.value("key").unwrap()
}

/// Sends a form twice; the answer is where both led.
async fn twice(browser: &mut Browser, action: &str, fields: &[(&str, &str)]) -> String {
    let (first, second) = (browser.post(action, fields).await, browser.post(action, fields).await);
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (303, 303), "{action}: {}", second.body);
    assert_eq!(first.location(), second.location(), "{action}");
    first.location().to_owned()
}

#[tokio::test]
async fn a_site_that_is_created_twice_is_one_site_and_its_buttons_are_pressed_once() {
    let mut town = Town::new().await;
    let before = operations(&town).await;
    let account = Town::id(&town.alpha).to_owned();
    let key = town.alice.get("/sites/new").await.value("key").unwrap();
    let fields = [("account", account.as_str()), ("domain", "shop.example.com"), ("php", "8.2"), ("key", &key)];
    let site = twice(&mut town.alice, "/sites", &fields).await;
    town.apply_all().await;

    let edit = format!("{site}/edit");
    let key = town.alice.get(&edit).await.value("key").unwrap();
    twice(&mut town.alice, &edit, &[("php", "8.3"), ("key", &key)]).await;
    town.apply_all().await;
    for action in ["suspend", "unsuspend"] {
        let action = format!("{site}/{action}");
        let key = question_key(&mut town.alice, &site, &action).await;
        assert_eq!(question_key(&mut town.alice, "/sites", &action).await, key, "a question asked twice is one request");
        twice(&mut town.alice, &action, &[("key", &key)]).await;
        town.apply_all().await;
    }
    let delete = format!("{site}/delete");
    let key = town.alice.get(&delete).await.value("key").unwrap();
    twice(&mut town.alice, &delete, &[("confirm", "shop.example.com"), ("key", &key)]).await;
    assert_eq!(operations(&town).await - before, 5);
}

#[tokio::test]
async fn an_account_that_is_created_twice_is_one_account_and_its_buttons_are_pressed_once() {
    let mut town = Town::new().await;
    let before = operations(&town).await;
    let (owner,): (String,) = sqlx::query_as("SELECT id FROM users WHERE login = 'bob'").fetch_one(town.app.db().read()).await.unwrap();
    let key = town.admin.get("/accounts/new").await.value("key").unwrap();
    let account = twice(&mut town.admin, "/accounts", &[("owner", &owner), ("user", "gamma"), ("key", &key)]).await;
    town.apply_all().await;
    for action in ["suspend", "unsuspend"] {
        let action = format!("{account}/{action}");
        let key = question_key(&mut town.admin, &account, &action).await;
        twice(&mut town.admin, &action, &[("key", &key)]).await;
        town.apply_all().await;
    }
    let delete = format!("{account}/delete");
    let key = town.admin.get(&delete).await.value("key").unwrap();
    twice(&mut town.admin, &delete, &[("confirm", "gamma"), ("key", &key)]).await;
    assert_eq!(operations(&town).await - before, 4);
}

#[tokio::test]
async fn php_settings_sent_twice_are_one_change() {
    let mut town = Town::new().await;
    town.site("shop.example.com").await;
    town.apply_all().await;
    let before = operations(&town).await;
    let path = format!("{}/php/8.2", town.alpha);
    let form = town.alice.get(&path).await;
    let names = [
        "memory_limit_mib",
        "max_execution_time_s",
        "max_input_time_s",
        "max_input_vars",
        "post_max_size_mib",
        "upload_max_filesize_mib",
        "max_children",
        "idle_timeout_s",
        "max_requests",
        "key",
    ];
    let values: Vec<String> = names.iter().map(|name| form.value(name).unwrap()).collect();
    let mut fields: Vec<(&str, &str)> = names.into_iter().zip(values.iter().map(String::as_str)).collect();
    fields.push(("pm", "ondemand"));
    twice(&mut town.alice, &path, &fields).await;
    assert_eq!(operations(&town).await - before, 1);
}

#[tokio::test]
async fn a_repeated_request_for_a_password_shows_no_password_that_was_never_set() {
    let mut town = Town::new().await;
    let before = operations(&town).await;
    let path = town.alpha.clone();
    let key = town.alice.get(&path).await.value("key_once").unwrap();
    let action = format!("{path}/sftp-password");
    assert_eq!(town.alice.post(&action, &[("key_once", &key)]).await.status, 200);
    let again = town.alice.post(&action, &[("key_once", &key)]).await;
    assert_eq!((again.status.as_u16(), again.location()), (303, path.as_str()));
    assert!(town.alice.get(&path).await.body.contains("made and shown already"));
    assert_eq!(operations(&town).await - before, 1);
}

#[tokio::test]
async fn a_form_that_was_changed_after_it_was_sent_is_a_new_request() {
    let mut town = Town::new().await;
    let site = town.site("shop.example.com").await;
    town.apply_all().await;
    let before = operations(&town).await;
    let edit = format!("{site}/edit");
    let key = town.alice.get(&edit).await.value("key").unwrap();
    for php in ["8.3", "8.2"] {
        assert_eq!(town.alice.post(&edit, &[("php", php), ("key", &key)]).await.status, 303);
    }
    assert_eq!(operations(&town).await - before, 2);
}

#[tokio::test]
async fn every_rendered_form_has_a_key_of_its_own_and_keys_of_others_mean_nothing() {
    let mut town = Town::new().await;
    let (one, two) = (town.alice.get("/sites/new").await.value("key").unwrap(), town.alice.get("/sites/new").await.value("key").unwrap());
    assert_ne!(one, two);
    let account = Town::id(&town.alpha).to_owned();
    let own = town.alice.post("/sites", &[("account", &account), ("domain", "shop.example.com"), ("php", "8.2"), ("key", &one)]).await;
    let beta = Town::id(&town.beta).to_owned();
    let other = town.bob.post("/sites", &[("account", &beta), ("domain", "other-shop.org"), ("php", "8.2"), ("key", &one)]).await;
    assert_eq!((own.status.as_u16(), other.status.as_u16()), (303, 303));
    assert_ne!(own.location(), other.location());
}
