//! Accounts on a real host.

use super::lab::Lab;
use super::world;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

#[test]
fn an_account_is_a_user_with_its_cell_its_uid_and_its_slice() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("cellclient");
    panel.account(&client, "celluser");

    let passwd = lab.exec(&["getent", "passwd", "celluser"]);
    let uid: u32 = passwd.split(':').nth(2).and_then(|uid| uid.parse().ok()).expect("a uid");
    assert!((200_000..500_000).contains(&uid), "{passwd}");
    let stat = |path: &str| lab.exec(&["stat", "-c", "%U:%G %a", path]).trim().to_owned();
    assert_eq!(stat("/home/celluser"), "root:celluser 750");
    assert_eq!(stat("/home/celluser/htdocs"), "root:celluser 750");
    assert_eq!(stat("/home/celluser/logs"), "root:celluser 750");
    assert_eq!(stat("/home/celluser/tmp"), "celluser:celluser 700");
    assert!(lab.exec(&["getent", "shadow", "celluser"]).starts_with("celluser:!"), "no password signs in before one is set");
}

#[test]
fn files_arrive_by_sftp_within_the_cell_and_a_suspended_account_is_shut_out() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("sftpclient");
    let account = panel.account(&client, "sftpuser");
    let site = panel.site(&account, "sftp.localhost", "8.2");
    panel.until_state(&format!("/sites/{site}"), "Active");
    let page = panel.post(&format!("/accounts/{account}/sftp-password"), &[]);
    let password = page.secret();
    assert!(password.len() >= 15, "a password is shown once: {}", page.text());
    lab.until("the password works", PATIENCE, || lab.sftp("sftpuser", &password, "ls /\n"));

    let script = "<?php echo 'uid=', posix_getuid(), ' ', file_get_contents(__DIR__ . '/note.txt');";
    assert!(lab.sftp_put("sftpuser", &password, "hello", "/htdocs/sftp.localhost/note.txt"));
    assert!(lab.sftp_put("sftpuser", &password, script, "/htdocs/sftp.localhost/index.php"));
    let uid = lab.exec(&["id", "-u", "sftpuser"]);
    lab.until("the page runs as the account", PATIENCE, || lab.fetch("sftp.localhost", "/").1 == format!("uid={} hello", uid.trim()));
    assert_eq!(lab.fetch("sftp.localhost", "/note.txt"), (200, "hello".to_owned()), "nginx reads an uploaded static file");
    assert!(!lab.sftp("sftpuser", &password, "get /../../etc/passwd /dev/null\n"), "there is nothing above the cell");
    assert!(!lab.sftp("sftpuser", &password, "rm /htdocs\n"), "the cell's own folders cannot be removed");

    panel.submit(&format!("/accounts/{account}/suspend"), &[]);
    panel.until_state(&format!("/accounts/{account}"), "Suspended");
    lab.until("the site says that it is suspended", PATIENCE, || lab.fetch("sftp.localhost", "/").0 == 503);
    assert!(!lab.sftp("sftpuser", &password, "ls /\n"), "a suspended account cannot sign in");

    panel.submit(&format!("/accounts/{account}/unsuspend"), &[]);
    panel.until_state(&format!("/accounts/{account}"), "Active");
    lab.until("the site is back exactly as it was", PATIENCE, || lab.fetch("sftp.localhost", "/").1 == format!("uid={} hello", uid.trim()));
    assert!(lab.sftp("sftpuser", &password, "ls /\n"), "and so is the way in");
}

#[test]
fn a_change_of_limits_holds_at_once_and_has_no_other_unit_read_again() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("limitclient");
    let account = panel.account(&client, "limituser");
    let site = panel.site(&account, "limits.localhost", "8.2");
    panel.until_state(&format!("/sites/{site}"), "Active");
    let told = || {
        let shown = lab.exec(&["systemctl", "show", "--property=CPUQuotaPerSecUSec,MemoryMax,TasksMax", "gantry-limituser.slice"]);
        let mut lines: Vec<&str> = shown.lines().collect();
        lines.sort_unstable();
        lines.join(" ")
    };
    let reloaded = || lab.exec(&["systemctl", "show", "--property=UnitsLoadTimestampMonotonic"]);
    let read = reloaded();
    for (fields, expected) in [
        ([("cpu_percent", "150"), ("memory_mib", "512"), ("tasks", "90")], "CPUQuotaPerSecUSec=1.500000s MemoryMax=536870912 TasksMax=90"),
        ([("cpu_percent", ""), ("memory_mib", "256"), ("tasks", "")], "CPUQuotaPerSecUSec=infinity MemoryMax=268435456 TasksMax=infinity"),
    ] {
        panel.submit(&format!("/accounts/{account}/limits"), &fields);
        lab.until("the limits hold", PATIENCE, || told() == expected);
        panel.until_state(&format!("/accounts/{account}"), "Active");
        assert_eq!(reloaded(), read, "systemd has read all units again");
    }
    // What the file says goes for systemd's next look too.
    lab.exec(&["systemctl", "daemon-reload"]);
    assert_ne!(reloaded(), read, "it would have been seen");
    assert_eq!(told(), "CPUQuotaPerSecUSec=infinity MemoryMax=268435456 TasksMax=infinity");
    assert_eq!(lab.exec(&["find", "/run/systemd/system.control", "-name", "gantry-limituser*"]), "");
}

#[test]
fn a_deleted_account_leaves_nothing_on_the_host() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("goneclient");
    let account = panel.account(&client, "goneuser");
    let site = panel.site(&account, "gone.localhost", "8.2");
    panel.until_state(&format!("/sites/{site}"), "Active");
    assert_eq!(lab.fetch("gone.localhost", "/").0, 200);

    let refused = panel.post(&format!("/accounts/{account}/delete"), &[("confirm", "somebody")]);
    assert_eq!(refused.status, 422, "the name has to be typed");
    panel.submit(&format!("/accounts/{account}/delete"), &[("confirm", "goneuser")]);
    panel.until_gone(&format!("/accounts/{account}"));

    assert!(!lab.succeeds(&["getent", "passwd", "goneuser"]), "the user is gone");
    assert!(!lab.succeeds(&["getent", "group", "goneuser"]), "the group is gone");
    let left =
        lab.exec(&["find", "/home", "/etc/nginx", "/etc/gantry-worker", "/etc/systemd/system", "/run/gantry-php", "-name", "*gone*"]);
    assert_eq!(left.trim(), "", "files are left");
    assert!(!lab.exec(&["systemctl", "list-units", "--all", "--no-legend"]).contains("goneuser"), "units are left");
    lab.until("the trash is empty", PATIENCE, || trash(lab).is_empty());
    assert_ne!(lab.fetch("gone.localhost", "/").0, 200);
}

fn trash(lab: &Lab) -> String {
    lab.exec(&["find", "/home/.gantry-trash", "-mindepth", "1", "-maxdepth", "1"]).trim().to_owned()
}

#[test]
fn a_deleted_accounts_many_files_hold_up_nobody_and_go_even_if_the_worker_dies() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("hugeclient");
    let account = panel.account(&client, "hugeuser");
    let files = "cd /home/hugeuser/home && for n in $(seq 100); do mkdir $n && (cd $n && seq 500 | xargs touch); done";
    lab.exec(&["sh", "-c", files]);
    panel.submit(&format!("/accounts/{account}/delete"), &[("confirm", "hugeuser")]);
    panel.until_gone(&format!("/accounts/{account}"));
    assert!(trash(lab).contains("hugeuser"), "the outcome is told before the files are gone");
    lab.exec(&["systemctl", "kill", "--signal=KILL", "gantry-worker"]);
    panel.account(&client, "nexthuge");
    lab.until("the trash is empty", PATIENCE, || trash(lab).is_empty());
}
