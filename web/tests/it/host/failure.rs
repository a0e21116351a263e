//! Failure is calm: the page says what happened, nothing is left behind, Retry works, others lose nothing.

use super::prober::Prober;
use super::world;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

#[test]
fn a_broken_file_of_somebodys_hand_blocks_the_job_until_it_is_cured_and_then_it_goes_on_by_itself() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("brokenclient");
    let account = panel.account(&client, "brokenuser");
    let good = panel.site(&account, "good.localhost", "8.2");
    panel.until_state(&format!("/sites/{good}"), "Active");
    let prober = Prober::start(&lab.address, &["good.localhost"]);

    lab.write("/etc/nginx/sites-enabled/hand.conf", "server { this is not nginx }\n");
    let site = panel.site(&account, "late.localhost", "8.2");
    let page = format!("/sites/{site}");
    lab.until("the page says what it waits for", PATIENCE, || {
        panel.get(&page).text().contains("Waiting: /etc/nginx/sites-enabled/hand.conf, line 1")
    });
    assert!(!lab.succeeds(&["test", "-e", "/etc/nginx/sites-enabled/late.localhost.conf"]), "nothing is left behind");
    assert!(!lab.succeeds(&["test", "-e", "/etc/nginx/sites-available/late.localhost.conf"]), "nothing is left behind");
    // What does not need nginx goes on.
    panel.account(&client, "brokenother");
    panel.until_state(&page, "Waiting");

    lab.exec(&["rm", "/etc/nginx/sites-enabled/hand.conf"]);
    panel.until_state(&page, "Active");
    lab.until("the site serves", PATIENCE, || lab.fetch("late.localhost", "/").0 == 200);
    prober.assert_nothing_lost();
}

#[test]
fn a_name_that_a_hand_made_vhost_answers_to_is_refused_and_rolled_back() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("takenclient");
    let account = panel.account(&client, "takenuser");
    lab.write("/etc/nginx/sites-enabled/aaa-hand.conf", "server { listen 80; server_name taken.localhost; return 200 hand; }\n");
    lab.exec(&["systemctl", "reload", "nginx"]);
    let site = panel.site(&account, "taken.localhost", "static");
    panel.until_state(&format!("/sites/{site}"), "Failed");
    assert_eq!(lab.fetch("taken.localhost", "/").1, "hand", "what served before serves");
    assert!(!lab.succeeds(&["test", "-e", "/etc/nginx/sites-enabled/taken.localhost.conf"]), "nothing is left behind");
    lab.exec(&["rm", "/etc/nginx/sites-enabled/aaa-hand.conf"]);
    lab.exec(&["systemctl", "reload", "nginx"]);
    panel.submit(&format!("/sites/{site}/retry"), &[]);
    panel.until_state(&format!("/sites/{site}"), "Active");
}

#[test]
fn a_full_disk_fails_the_job_and_leaves_what_serves() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("fullclient");
    let account = panel.account(&client, "fulluser");
    let good = panel.site(&account, "roomy.localhost", "static");
    panel.until_state(&format!("/sites/{good}"), "Active");
    let prober = Prober::start(&lab.address, &["roomy.localhost"]);
    // A file system of 64 KiB in place of the vhosts' directory, filled to the brim, holding what was there.
    lab.exec(&["sh", "-c", "cp -a /etc/nginx/sites-available /tmp/kept && mount -t tmpfs -o size=64k,mode=755 full /etc/nginx/sites-available && cp -a /tmp/kept/. /etc/nginx/sites-available/ && (dd if=/dev/zero of=/etc/nginx/sites-available/.fill bs=1k count=128 2>/dev/null || true)"]);
    let site = panel.site(&account, "cramped.localhost", "static");
    panel.until_state(&format!("/sites/{site}"), "Failed");
    let text = panel.get(&format!("/sites/{site}")).text();
    lab.exec(&["umount", "-l", "/etc/nginx/sites-available"]);
    assert!(text.contains("disk is full"), "it says what happened: {text}");
    assert!(!lab.succeeds(&["test", "-e", "/etc/nginx/sites-enabled/cramped.localhost.conf"]), "nothing is left behind");
    panel.submit(&format!("/sites/{site}/retry"), &[]);
    panel.until_state(&format!("/sites/{site}"), "Active");
    prober.assert_nothing_lost();
}

#[test]
fn a_pool_that_php_refuses_fails_alone_and_retry_works() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("refuseclient");
    let account = panel.account(&client, "refuseuser");
    let other = panel.account(&client, "refuseother");
    let good = panel.site(&other, "accepted.localhost", "8.2");
    panel.until_state(&format!("/sites/{good}"), "Active");
    let prober = Prober::start(&lab.address, &["accepted.localhost"]);
    // PHP as it is when a package is half installed: it refuses every configuration, and what runs goes on.
    lab.exec(&["sh", "-c", "mv /usr/sbin/php-fpm8.2 /usr/sbin/kept-fpm && ln -s /bin/false /usr/sbin/php-fpm8.2"]);
    let site = panel.site(&account, "refused.localhost", "8.2");
    panel.until_state(&format!("/sites/{site}"), "Failed");
    assert!(!lab.succeeds(&["test", "-e", "/etc/nginx/sites-enabled/refused.localhost.conf"]), "nothing is left behind");
    lab.exec(&["mv", "-f", "/usr/sbin/kept-fpm", "/usr/sbin/php-fpm8.2"]);
    panel.submit(&format!("/sites/{site}/retry"), &[]);
    panel.until_state(&format!("/sites/{site}"), "Active");
    prober.assert_nothing_lost();
}
