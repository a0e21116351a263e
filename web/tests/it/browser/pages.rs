//! Every page, looked at: no complaint of the browser, nothing wider than the screen, nothing that shuts people out; and a
//! picture of each at three widths in both themes.

use serde_json::{Value, json};

use super::person::{Hosted, Person, save};
use super::{Scripts, screenshots, with_browser};

const WIDTHS: [u32; 3] = [1440, 768, 390];
const THEMES: [&str; 2] = ["light", "dark"];

#[test]
fn every_page_is_sound_at_every_width_in_both_themes_for_admins_and_for_clients() {
    with_browser(Scripts::On, async |person| {
        let Hosted { login, once, user, account, domain } = person.hosted_with_site("look").await;
        let site = person.path().await;
        let link = async |list: &str, prefix: &str| {
            person.go(list).await;
            let links = format!("[...document.querySelectorAll('main a[href^=\"{prefix}\"]')].map((link) => link.pathname)");
            let first = format!("{links}.find((path) => path.length > {} && !path.endsWith('/new')) ?? ''", prefix.len());
            let path = person.ask(&first).await.as_str().unwrap_or_default().to_owned();
            assert!(!path.is_empty(), "{list} leads to no {prefix}");
            path
        };
        let operation = link(&format!("/operations?q={domain}"), "/operations/").await;
        let client = link(&format!("/clients?q={login}"), "/clients/").await;
        let server = link("/servers", "/servers/").await;
        let php = link(&account, &format!("{account}/php/")).await;

        let mut found = Vec::new();
        let shared = [
            ("home", "/".to_owned()),
            ("sites", "/sites".to_owned()),
            ("sites-none", "/sites?q=nothing-like-it".to_owned()),
            ("site", site.clone()),
            ("site-new", "/sites/new".to_owned()),
            ("site-edit", format!("{site}/edit")),
            ("site-suspend", format!("{site}/suspend")),
            ("site-delete", format!("{site}/delete")),
            ("accounts", "/accounts".to_owned()),
            ("account", account.clone()),
            ("account-php", php),
            ("operations", "/operations".to_owned()),
            ("operation", operation),
            ("search", format!("/search?q={user}")),
            ("password", "/password".to_owned()),
            ("sessions", "/sessions".to_owned()),
            ("audit", "/audit".to_owned()),
            ("not-found", "/sites/00000000-0000-0000-0000-000000000000".to_owned()),
        ];
        let admins = [
            ("account-new", "/accounts/new".to_owned()),
            ("account-limits", format!("{account}/limits")),
            ("account-suspend", format!("{account}/suspend")),
            ("account-delete", format!("{account}/delete")),
            ("clients", "/clients".to_owned()),
            ("client", client.clone()),
            ("client-new", "/clients/new".to_owned()),
            ("client-suspend", format!("{client}/suspend")),
            ("client-delete", format!("{client}/delete")),
            ("servers", "/servers".to_owned()),
            ("server-queue", format!("{server}/queue")),
            ("server-drift", format!("{server}/drift")),
            ("server-drift-none", format!("{server}/drift?q=nothing-like-it")),
            ("server", server),
            ("updates", "/servers/updates".to_owned()),
            ("drift", "/drift".to_owned()),
            ("security", "/security".to_owned()),
            ("server-new", "/servers/new".to_owned()),
        ];
        for (name, path) in shared.iter().chain(&admins) {
            look(person, &format!("admin-{name}"), path, &mut found).await;
        }
        person.sign_out().await;
        look(person, "sign-in", "/sign-in", &mut found).await;
        person.sign_in(&login, &once).await;
        look(person, "password-first", "/password", &mut found).await;
        person.choose_password(&once, "four-calm-otters-17").await;
        for (name, path) in &shared {
            look(person, &format!("client-{name}"), path, &mut found).await;
        }
        assert!(found.is_empty(), "{} findings:\n{}", found.len(), found.join("\n"));
    });
}

/// Looks at one page at every width in both themes.
async fn look(person: &Person, name: &str, path: &str, found: &mut Vec<String>) {
    person.go(path).await;
    for theme in THEMES {
        person.cdp("Emulation.setEmulatedMedia", json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] })).await;
        for width in WIDTHS {
            size(person, width, 900).await;
            let wide = person.ask("document.documentElement.scrollWidth").await.as_u64().unwrap_or_default();
            if wide > u64::from(width) {
                found.push(format!("{name} at {width}: {wide} pixels wide"));
            }
            // What the widths between show is the one or the other.
            if width == WIDTHS[0] || width == WIDTHS[2] {
                found.extend(shut_out(person).await.into_iter().map(|finding| format!("{name} at {width} {theme}: {finding}")));
            }
            let tall = person.ask("document.documentElement.scrollHeight").await.as_u64().unwrap_or(900);
            size(person, width, u32::try_from(tall.clamp(900, 6000)).unwrap_or(900)).await;
            let png = person.driver.screenshot_as_png().await.expect("a picture");
            save(&screenshots().join(format!("{name}-{width}-{theme}.png")), &png);
        }
    }
    found.extend(person.complaints().await.into_iter().map(|complaint| format!("{name}: {complaint}")));
}

async fn size(person: &Person, width: u32, height: u32) {
    person
        .cdp("Emulation.setDeviceMetricsOverride", json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false }))
        .await;
}

/// What axe-core finds, if it is there.
async fn shut_out(person: &Person) -> Vec<String> {
    let Some(axe) = std::env::var_os("GANTRY_AXE") else { return Vec::new() };
    if person.ask("typeof axe").await != "object" {
        let source = std::fs::read_to_string(&axe).expect("axe-core's script");
        person.driver.execute(source, Vec::new()).await.expect("axe-core runs");
    }
    let run = "const done = arguments[0]; axe.run(document, { resultTypes: ['violations'] }).then(
        (result) => done(result.violations.map((found) => `${found.id}: ${found.nodes.map((node) => node.html.slice(0, 160)).join(' | ')}`)));";
    let found = person.driver.execute_async(run, Vec::new()).await.expect("axe-core answers");
    found.json().as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
