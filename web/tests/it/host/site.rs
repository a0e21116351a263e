//! Sites on a real host.

use std::io::Write;
use std::net::TcpStream;

use super::prober::Prober;
use super::world;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

#[test]
fn a_site_serves_is_edited_suspended_and_deleted_while_its_neighbours_lose_nothing() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("siteclient");
    let neighbours = panel.account(&client, "neighbour");
    for (domain, php) in [("quiet.localhost", "8.2"), ("still.localhost", "static")] {
        let site = panel.site(&neighbours, domain, php);
        panel.until_state(&format!("/sites/{site}"), "Active");
    }
    let prober = Prober::start(&lab.address, &["quiet.localhost", "still.localhost"]);

    let account = panel.account(&client, "siteuser");
    let site = panel.site(&account, "shop.localhost", "8.2");
    let page = format!("/sites/{site}");
    panel.until_state(&page, "Active");
    assert_eq!(lab.fetch("shop.localhost", "/").0, 200, "the placeholder answers");
    assert_eq!(lab.fetch_ipv6("shop.localhost", "/").0, 200, "also by IPv6");

    panel.submit(
        &format!("{page}/edit"),
        &[("aliases", "www.shop.localhost\nbücher.shop.localhost"), ("document_root", "shop.localhost"), ("php", "8.2")],
    );
    lab.until("the alias answers", PATIENCE, || lab.fetch("www.shop.localhost", "/").0 == 200);
    assert_eq!(lab.fetch("xn--bcher-kva.shop.localhost", "/").0, 200, "an international alias answers in its ASCII form");
    panel.until_state(&page, "Active");

    // A site of its own below the wildcard of another: without it, the other answers for its name.
    let wildcard = [("aliases", "*.shop.localhost"), ("document_root", "shop.localhost"), ("php", "8.2")];
    panel.submit(&format!("{page}/edit"), &wildcard);
    panel.until_state(&page, "Active");
    lab.until("the wildcard answers", PATIENCE, || lab.fetch("blog.shop.localhost", "/").0 == 200);
    let blog = format!("/sites/{}", panel.site(&account, "blog.shop.localhost", "8.2"));
    panel.until_state(&blog, "Active");
    panel.submit(&format!("{blog}/delete"), &[("confirm", "blog.shop.localhost")]);
    panel.until_gone(&blog);
    assert_eq!(lab.fetch("blog.shop.localhost", "/").0, 200, "the wildcard answers again");

    panel.submit(&format!("{page}/edit"), &[("aliases", ""), ("document_root", "shop.localhost"), ("php", "static")]);
    lab.until("the alias is gone", PATIENCE, || lab.fetch("www.shop.localhost", "/").0 != 200);
    panel.until_state(&page, "Active");
    lab.until("the unused pool is gone", PATIENCE, || !lab.succeeds(&["test", "-e", "/run/gantry-php/siteuser-8.2.sock"]));

    panel.submit(&format!("{page}/suspend"), &[]);
    panel.until_state(&page, "Suspended");
    assert_eq!(lab.fetch("shop.localhost", "/").0, 503);
    panel.submit(&format!("{page}/unsuspend"), &[]);
    panel.until_state(&page, "Active");
    lab.until("it serves again", PATIENCE, || matches!(lab.fetch("shop.localhost", "/").0, 200 | 403));

    panel.submit(&format!("{page}/delete"), &[("confirm", "shop.localhost")]);
    panel.until_gone(&page);
    assert_ne!(lab.fetch("shop.localhost", "/").0, 200);
    prober.assert_nothing_lost();
}

/// Keeps a child of the pool for longer than the test takes.
const SLEEPER: &str = "<?php sleep(300);";

#[test]
fn a_site_whose_php_children_are_all_busy_can_be_changed_and_stands_in_nobodys_way() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("busyclient");
    let account = panel.account(&client, "busyuser");
    let site = panel.site(&account, "busy.localhost", "8.2");
    let page = format!("/sites/{site}");
    panel.until_state(&page, "Active");
    lab.write("/home/busyuser/htdocs/busy.localhost/sleep.php", SLEEPER);
    // A new pool may have ten children. None of these requests, which come at once, is ever read to its end.
    let ask = |_| {
        let mut request = TcpStream::connect((lab.address.as_str(), 80)).expect("nginx takes connections");
        write!(request, "GET /sleep.php HTTP/1.1\r\nHost: busy.localhost\r\n\r\n").expect("nginx takes the request");
        request
    };
    let requests: Vec<TcpStream> = (0..14).map(ask).collect();
    let children = || lab.exec(&["sh", "-c", "pgrep -c -u busyuser -f 'php-fpm: pool' || true"]).trim().parse().unwrap_or(0);
    lab.until("the pool has all the children it may have", PATIENCE, || children() == 10);

    let edit = format!("{page}/edit");
    panel.submit(&edit, &[("aliases", "www.busy.localhost"), ("document_root", "busy.localhost"), ("php", "8.2")]);
    panel.until_state(&page, "Active");
    panel.submit(&format!("{page}/suspend"), &[]);
    panel.until_state(&page, "Suspended");
    panel.submit(&format!("{page}/unsuspend"), &[]);
    panel.until_state(&page, "Active");
    let second = panel.site(&account, "busy2.localhost", "8.2");
    panel.until_state(&format!("/sites/{second}"), "Active");
    let neighbour = panel.account(&client, "calmuser");
    let other = panel.site(&neighbour, "unhurried.localhost", "8.2");
    panel.until_state(&format!("/sites/{other}"), "Active");
    assert_eq!(children(), 10, "they were busy to the end");
    drop(requests);
}

#[test]
fn a_php_master_that_is_ended_for_being_idle_loses_no_request() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("idleclient");
    let account = panel.account(&client, "idleuser");
    let page = format!("/sites/{}", panel.site(&account, "idle.localhost", "8.2"));
    panel.until_state(&page, "Active");
    let unit = "gantry-php8.2@idleuser.service";
    let main = || lab.exec(&["systemctl", "show", "--property=MainPID", "--value", unit]).trim().to_owned();
    assert_eq!(lab.fetch("idle.localhost", "/").0, 200);
    // As the worker ends one, but in the midst of requests, which is worse than it ever does.
    let prober = Prober::start(&lab.address, &["idle.localhost"]);
    for _ in 0..20 {
        let before = main();
        lab.exec(&["systemctl", "kill", "--kill-who=main", "--signal=QUIT", unit]);
        lab.until("another master is there", PATIENCE, || !["0", &before].contains(&main().as_str()));
        assert_eq!(lab.fetch("idle.localhost", "/").0, 200, "it serves");
    }
    prober.assert_nothing_lost();
    lab.exec(&["systemctl", "kill", "--kill-who=main", "--signal=QUIT", unit]);
    lab.until("the master is gone", PATIENCE, || main() == "0");
    assert_eq!(lab.fetch("idle.localhost", "/").0, 200, "the next request brings it back");
}

/// A form of PHP settings that differs from the default in one field.
pub(super) fn php_form(post_max_size_mib: &str) -> [(&str, &str); 10] {
    [
        ("memory_limit_mib", "256"),
        ("max_execution_time_s", "60"),
        ("max_input_time_s", "60"),
        ("max_input_vars", "5000"),
        ("post_max_size_mib", post_max_size_mib),
        ("upload_max_filesize_mib", "64"),
        ("pm", "ondemand"),
        ("max_children", "10"),
        ("idle_timeout_s", "20"),
        ("max_requests", "1000"),
    ]
}

#[test]
fn a_site_takes_a_body_as_large_as_its_pool_does_and_one_without_php_hardly_any() {
    const MIB: usize = 1024 * 1024;
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("bodyclient");
    let account = panel.account(&client, "bodyuser");
    let site = panel.site(&account, "body.localhost", "8.2");
    let plain = panel.site(&account, "bare.localhost", "static");
    panel.until_state(&format!("/sites/{site}"), "Active");
    panel.until_state(&format!("/sites/{plain}"), "Active");
    lab.write("/home/bodyuser/htdocs/body.localhost/size.php", "<?php http_response_code(200);");
    assert_eq!(lab.post("bare.localhost", "/", 2 * MIB), 413);
    assert_eq!(lab.post("body.localhost", "/size.php", 4 * MIB), 200);

    panel.submit(&format!("/accounts/{account}/php/8.2"), &php_form("2"));
    lab.until("nginx follows the pool", PATIENCE, || lab.post("body.localhost", "/size.php", 4 * MIB) == 413);
    assert_eq!(lab.post("body.localhost", "/size.php", MIB), 200);
    panel.submit(&format!("/accounts/{account}/php/8.2"), &php_form("8"));
    lab.until("nginx follows the pool", PATIENCE, || lab.post("body.localhost", "/size.php", 4 * MIB) == 200);

    panel.submit(&format!("/sites/{site}/suspend"), &[]);
    panel.until_state(&format!("/sites/{site}"), "Suspended");
    assert_eq!(lab.post("body.localhost", "/size.php", 4 * MIB), 503, "a large body gets the page, too");
}

#[test]
fn a_site_with_too_many_requests_under_way_takes_no_place_of_its_neighbours() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("slowclient");
    let account = panel.account(&client, "slowuser");
    let page = format!("/sites/{}", panel.site(&account, "slow.localhost", "static"));
    panel.until_state(&page, "Active");
    // More than fits into the buffers between: a reader that reads nothing keeps its request under way.
    lab.exec(&["truncate", "--size=64M", "/home/slowuser/htdocs/slow.localhost/large.bin"]);
    let slow: Vec<TcpStream> = (0..520)
        .map(|_| {
            let mut request = TcpStream::connect((lab.address.as_str(), 80)).expect("nginx takes connections");
            write!(request, "GET /large.bin HTTP/1.1\r\nHost: slow.localhost\r\n\r\n").expect("nginx takes the request");
            request
        })
        .collect();
    lab.until("the site's places are taken", PATIENCE, || lab.fetch("slow.localhost", "/").0 == 503);
    panel.submit(&format!("{page}/edit"), &[("aliases", "www.slow.localhost"), ("document_root", "slow.localhost"), ("php", "static")]);
    panel.until_state(&page, "Active");
    let neighbour = panel.site(&account, "quick.localhost", "8.2");
    panel.until_state(&format!("/sites/{neighbour}"), "Active");
    assert_eq!(lab.fetch("quick.localhost", "/").0, 200);
    drop(slow);
}

#[test]
fn the_panel_refuses_names_that_are_invalid_or_somebody_elses_and_keeps_what_was_typed() {
    let Some(world) = world() else { return };
    let (panel, _lab) = (&world.panel, &world.lab);
    let client = panel.client("nameclient");
    let account = panel.account(&client, "nameuser");
    let site = panel.site(&account, "mine.localhost", "static");
    panel.until_state(&format!("/sites/{site}"), "Active");
    let other = panel.account(&client, "nameother");
    for bad in ["not a domain", "mine.localhost", "sub.mine.localhost", "MINE.localhost.", "192.0.2.1", "a;b.example"] {
        let page = panel.post("/sites", &[("account", &other), ("domain", bad), ("php", "static")]);
        assert_eq!(page.status, 422, "{bad:?} was accepted");
    }
    let page = panel.post("/sites", &[("account", &other), ("domain", "not a domain"), ("php", "static")]);
    assert!(page.body.contains("not a domain"), "what was typed is kept");
}
