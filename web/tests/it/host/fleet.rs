//! Three hosts: accounts find theirs, and one that is cut off, loses power or is shut out is a matter of its own.

use std::time::{Duration, Instant};

use super::lab::Lab;
use super::panel::Panel;
use super::prober::Prober;
use super::{Drained, joined, world};

const PATIENCE: Duration = Duration::from_mins(3);
/// Waiting for a server that is cut off; one account may have 256.
const WAITING: usize = 200;

/// An account on a server that the panel chooses among those that take new ones.
fn placed(panel: &Panel, client: &str, user: &str) -> String {
    let account = panel.account(client, user);
    panel.get(&format!("/accounts/{account}")).body.split("/servers/").nth(1).map(|rest| rest[..36].to_owned()).expect("its server")
}

fn php_site(panel: &Panel, host: &Lab, user: &str, domain: &str, php: &str) -> String {
    let account = panel.id_of("/accounts?q=", user, "/accounts/");
    let site = format!("/sites/{}", panel.site(&account, domain, php));
    panel.until_state(&site, "Active");
    host.exec(&["sh", "-c", &format!("echo '<?php echo PHP_VERSION;' > /home/{user}/htdocs/{domain}/index.php")]);
    let (status, body) = host.fetch(domain, "/");
    assert!(status == 200 && body.starts_with(php), "{domain}: {status} {body}");
    site
}

#[test]
fn three_hosts_share_the_accounts_and_one_that_is_cut_off_loses_power_or_is_shut_out_is_alone_with_it() {
    let Some(world) = world() else { return };
    let (panel, first) = (&world.panel, &world.lab);
    let (second, second_page) = joined(panel, "cifleet2", "bookworm");
    let (third, third_page) = joined(panel, "cifleet3", "trixie");
    let _drained = [Drained(panel, &second_page), Drained(panel, &third_page)];
    let client = panel.client("fleetclient");

    let ours = panel.id_of("/servers?q=", first.exec(&["hostname"]).trim(), "/servers/");
    let account = panel.submit("/accounts", &[("owner", &client), ("user", "fleetuser1"), ("server", &ours)]);
    panel.until_state(&account, "Active");

    // The two new ones are empty: each gets one of the next two accounts.
    let mut chosen = [placed(panel, &client, "fleetuser2"), placed(panel, &client, "fleetuser3")];
    let (on_second, on_third) = if second_page.ends_with(&chosen[0]) { ("fleetuser2", "fleetuser3") } else { ("fleetuser3", "fleetuser2") };
    chosen.sort();
    let mut empty = [second_page.trim_start_matches("/servers/"), third_page.trim_start_matches("/servers/")];
    empty.sort_unstable();
    assert_eq!(chosen, empty);

    php_site(panel, first, "fleetuser1", "one.localhost", "8.2");
    php_site(panel, &second, on_second, "two.localhost", "8.2");
    php_site(panel, &third, on_third, "three-old.localhost", "8.2");
    php_site(panel, &third, on_third, "three-new.localhost", "8.4");

    // Cut off in silence, with much to do when it is back. The others notice nothing.
    let others = [Prober::start(&first.address, &["one.localhost"]), Prober::start(&third.address, &["three-old.localhost"])];
    second.run("net-cut", &[]);
    second.until("it is shown offline", PATIENCE, || panel.get(&second_page).text().contains("is offline since"));
    let waits = panel.id_of("/accounts?q=", on_second, "/accounts/");
    let sites: Vec<String> = (0..WAITING).map(|number| panel.site(&waits, &format!("wait{number}.localhost"), "static")).collect();
    let said = panel.get(&format!("/sites/{}", sites[0])).text();
    assert!(said.contains("is offline since"), "{said}");
    // Of the others' jobs none waits for it.
    php_site(panel, &third, on_third, "three-more.localhost", "8.4");
    second.run("net-heal", &[]);
    let healed = Instant::now();
    second.until("it is online again", PATIENCE, || panel.get(&second_page).text().contains("Online"));
    let back = healed.elapsed();
    for site in &sites {
        panel.until_state(&format!("/sites/{site}"), "Active");
    }
    println!("{WAITING} waiting jobs: online {} ms after the network, done after {} ms", back.as_millis(), healed.elapsed().as_millis());
    assert_eq!(second.fetch("wait0.localhost", "/").0, 200);
    others.into_iter().for_each(Prober::assert_nothing_lost);

    // Power that goes in the middle of a job.
    let others = [Prober::start(&first.address, &["one.localhost"]), Prober::start(&second.address, &["two.localhost"])];
    let account = panel.id_of("/accounts?q=", on_third, "/accounts/");
    let dark = panel.site(&account, "three-dark.localhost", "8.4");
    third.run("cut", &[]);
    third.run("up", &[]);
    panel.until_state(&format!("/sites/{dark}"), "Active");
    for domain in ["three-old.localhost", "three-new.localhost", "three-dark.localhost"] {
        third.until(&format!("{domain} serves after the boot"), PATIENCE, || third.fetch(domain, "/").0 == 200);
    }

    // Shut out by an admin: its connection drops, it never comes back, and what serves goes on serving.
    panel.submit(&format!("{second_page}/shut-out"), &[("confirm", "cifleet2")]);
    let log = || second.exec(&["journalctl", "-u", "gantry-worker", "--no-pager"]);
    second.until("its connection drops", PATIENCE, || log().contains("the connection to the bus was lost"));
    second.exec(&["systemctl", "restart", "gantry-worker"]);
    let late = panel.site(&panel.id_of("/accounts?q=", on_second, "/accounts/"), "three-late.localhost", "static");
    second.until("it is not let in", PATIENCE, || log().contains("uthoriz"));
    assert!(panel.get(&second_page).text().contains("is shut out since"));
    assert_eq!(second.fetch("two.localhost", "/").0, 200);
    others.into_iter().for_each(Prober::assert_nothing_lost);
    // A host that joins as it again takes up what waited.
    let (done, said) = second.tell(&["sh", "-c", &panel.post(&format!("{second_page}/token"), &[]).secret()]);
    assert!(done, "{said}");
    panel.until_state(&format!("/sites/{late}"), "Active");

    for user in ["fleetuser1", "fleetuser2", "fleetuser3"] {
        let account = format!("/accounts/{}", panel.id_of("/accounts?q=", user, "/accounts/"));
        panel.submit(&format!("{account}/delete"), &[("confirm", user)]);
        panel.until_gone(&account);
    }
    for (host, page, name) in [(&second, &second_page, "cifleet2"), (&third, &third_page, "cifleet3")] {
        panel.submit(&format!("{page}/delete"), &[("confirm", name)]);
        host.run("remove", &[]);
    }
}
