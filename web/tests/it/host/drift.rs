//! What somebody changes by hand on a real host is found, shown and cured; admins' own configuration has its place.

use std::time::Duration;

use super::prober::Prober;
use super::{World, world};

const PATIENCE: Duration = Duration::from_secs(60);

/// Has the host compared with what was applied, again and again until the page of drift says this.
fn until_drift_says(world: &World, what: &str, said: impl Fn(&str) -> bool) {
    let host = std::env::var("GANTRY_E2E_HOST").expect("GANTRY_E2E_HOST names the host");
    let server = world.panel.id_of("/servers?q=", &host, "/servers/");
    world.lab.until(what, PATIENCE, || {
        assert_eq!(world.panel.post(&format!("/servers/{server}/drift/check"), &[]).status, 303);
        // A look takes a moment; the next check asks for the next one.
        std::thread::sleep(Duration::from_millis(300));
        said(&world.panel.get("/drift").text())
    });
}

/// The keys of what has drifted, as the page's buttons send them.
fn repairable(world: &World) -> Vec<String> {
    let page = world.panel.get("/drift").body;
    let mut keys: Vec<String> = Vec::new();
    for rest in page.split("name=\"resource\" value=\"").skip(1) {
        keys.extend(rest.split('"').next().map(str::to_owned).filter(|key| !keys.contains(key)));
    }
    keys
}

#[test]
fn a_hand_on_a_vhost_a_pool_and_a_cell_is_found_with_its_diff_and_repair_cures_it() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("driftclient");
    let account = panel.account(&client, "driftuser");
    let site = panel.site(&account, "drift.localhost", "8.2");
    let page = format!("/sites/{site}");
    panel.until_state(&page, "Active");
    let neighbour = panel.site(&account, "calmdrift.localhost", "static");
    panel.until_state(&format!("/sites/{neighbour}"), "Active");
    until_drift_says(&world, "nothing of it has drifted", |text| text.contains("compared") && !text.contains("driftuser"));

    let prober = Prober::start(&lab.address, &["calmdrift.localhost"]);
    lab.exec(&["sed", "-i", "s/server_tokens off;/server_tokens on;/", "/etc/nginx/sites-available/drift.localhost.conf"]);
    lab.exec(&["rm", "/etc/gantry-worker/php/driftuser-8.2.conf"]);
    lab.exec(&["chmod", "0755", "/home/driftuser"]);
    until_drift_says(&world, "all three are found", |text| {
        [
            "- server_tokens on;",
            "+ server_tokens off;",
            "/etc/gantry-worker/php/driftuser-8.2.conf",
            "has the mode 0755, and should have 0750",
        ]
        .iter()
        .all(|line| text.contains(line))
    });
    assert!(panel.get(&page).text().contains("Drifted"), "the site's own page says so");
    assert!(panel.get("/sites?q=drift").text().contains("Drifted"));
    for key in repairable(&world) {
        panel.submit("/drift/repair", &[("resource", &key)]);
    }
    panel.until_state(&page, "Active");
    until_drift_says(&world, "everything is cured", |text| !text.contains("driftuser"));
    assert!(lab.succeeds(&["grep", "-q", "server_tokens off;", "/etc/nginx/sites-available/drift.localhost.conf"]));
    assert!(lab.succeeds(&["test", "-s", "/etc/gantry-worker/php/driftuser-8.2.conf"]));
    assert_eq!(lab.exec(&["stat", "--format=%a", "/home/driftuser"]).trim(), "750");
    assert_eq!(lab.fetch("drift.localhost", "/").0, 200);
    prober.assert_nothing_lost();
}

#[test]
fn an_include_file_is_taken_up_by_itself_and_a_broken_one_is_set_aside_while_others_go_on() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("includeclient");
    let account = panel.account(&client, "includeuser");
    let site = panel.site(&account, "include.localhost", "static");
    panel.until_state(&format!("/sites/{site}"), "Active");
    let prober = Prober::start(&lab.address, &["include.localhost"]);
    let own = "/etc/nginx/gantry.d/site/include.localhost";
    lab.exec(&["mkdir", "-p", own]);
    lab.write(&format!("{own}/hello.conf"), "location = /hello { return 200 'from an include'; }\n");
    until_drift_says(&world, "nginx has taken it up", |_| lab.fetch("include.localhost", "/hello").1 == "from an include");

    // Found by a look.
    lab.write(&format!("{own}/broken.conf"), "this is not nginx;\n");
    until_drift_says(&world, "it is set aside", |text| {
        text.contains(&format!("{own}/broken.conf.broken")) && text.contains("unknown directive")
    });
    // Found by a job.
    lab.write(&format!("{own}/worse.conf"), "neither is this;\n");
    let second = panel.site(&account, "include2.localhost", "static");
    panel.until_state(&format!("/sites/{second}"), "Active");
    assert!(lab.succeeds(&["test", "-e", &format!("{own}/worse.conf.broken")]));
    panel.submit(
        &format!("/sites/{site}/edit"),
        &[("aliases", "www.include.localhost"), ("document_root", "include.localhost"), ("php", "static")],
    );
    panel.until_state(&format!("/sites/{site}"), "Active");
    assert_eq!(lab.fetch("www.include.localhost", "/hello").1, "from an include", "no change of ours touches it");
    lab.exec(&["rm", "-r", own]);
    until_drift_says(&world, "nothing is set aside any more", |text| !text.contains("set aside"));
    prober.assert_nothing_lost();
}

#[test]
fn an_include_that_closes_a_site_holds_up_no_job_and_one_that_takes_a_used_port_is_set_aside() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("closedclient");
    let account = panel.account(&client, "closeduser");
    let site = panel.site(&account, "closed.localhost", "8.2");
    let page = format!("/sites/{site}");
    panel.until_state(&page, "Active");
    let own = "/etc/nginx/gantry.d/site/closed.localhost";
    lab.exec(&["mkdir", "-p", own]);
    let closings = [
        ("return 503;", 503),
        ("return 301 https://elsewhere.localhost$request_uri;", 301),
        ("auth_basic members; auth_basic_user_file /etc/nginx/nobody;", 401),
        ("satisfy any; deny all;", 403),
    ];
    for (number, (text, status)) in closings.into_iter().enumerate() {
        lab.write(&format!("{own}/closed.conf"), &format!("{text}\n"));
        until_drift_says(&world, "nginx has taken it up", |_| lab.fetch("closed.localhost", "/").0 == status);
        let alias = format!("www{number}.closed.localhost");
        panel.submit(&format!("{page}/edit"), &[("aliases", &alias), ("document_root", "closed.localhost"), ("php", "8.2")]);
        panel.until_state(&page, "Active");
        assert_eq!(lab.fetch(&alias, "/").0, status, "{text}");
        assert!(lab.succeeds(&["test", "-e", &format!("{own}/closed.conf")]), "{text}");
    }
    lab.write(&format!("{own}/port.conf"), "listen 22;\n");
    until_drift_says(&world, "it is set aside", |text| text.contains(&format!("{own}/port.conf.broken")) && text.contains("bind() to"));
    assert!(lab.succeeds(&["test", "-e", &format!("{own}/closed.conf")]));
    lab.exec(&["rm", "-r", own]);
    until_drift_says(&world, "nothing is set aside any more", |text| !text.contains("set aside"));
}

#[test]
fn a_preview_is_what_is_then_done_and_an_earlier_generation_comes_back() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("previewclient");
    let account = panel.account(&client, "previewuser");
    let site = panel.site(&account, "preview.localhost", "8.2");
    let page = format!("/sites/{site}");
    panel.until_state(&page, "Active");
    let fields = [("aliases", "www.preview.localhost"), ("document_root", "preview.localhost"), ("php", "8.2")];
    let before = lab.exec(&["cat", "/etc/nginx/sites-available/preview.localhost.conf"]);
    let preview = panel.post(&format!("{page}/preview"), &fields);
    assert_eq!(preview.status, 200);
    let changes = diff_lines(&preview.body);
    assert!(changes.iter().any(|line| line.starts_with("+    server_name preview.localhost www.preview.localhost;")), "{changes:?}");
    assert_eq!(lab.exec(&["cat", "/etc/nginx/sites-available/preview.localhost.conf"]), before, "nothing has been changed");

    panel.submit(&format!("{page}/edit"), &fields);
    panel.until_state(&page, "Active");
    let history = format!("{page}/history");
    lab.until("the history has it", PATIENCE, || diff_lines(&panel.get(&history).body) == changes);

    panel.submit(&format!("{page}/rollback"), &[("generation", "1")]);
    panel.until_state(&page, "Active");
    lab.until("the name is gone again", PATIENCE, || lab.fetch("www.preview.localhost", "/").0 != 200);
    let bad = panel.post(&format!("/accounts/{account}/php/8.2/preview"), &[("pm", "ondemand")]);
    assert_eq!(bad.status, 422);
}

/// The lines that a page's diffs add and take away.
fn diff_lines(body: &str) -> Vec<String> {
    let html = scraper::Html::parse_document(body);
    let lines = scraper::Selector::parse(".diff-line.add, .diff-line.del").expect("a selector");
    html.select(&lines).map(|line| line.text().collect::<String>()).collect()
}
