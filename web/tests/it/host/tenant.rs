//! What a tenant can reach, and cannot: keys, logs, and a hostile script (P-01 to P-15 of the catalogue's list).

use std::process::Command;
use std::time::Duration;

use super::world;

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_key_signs_in_until_it_is_removed() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("keyclient");
    let account = panel.account(&client, "keyuser");
    let scratch = tempfile::tempdir().unwrap();
    let key = scratch.path().join("key");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "me@laptop", "-f"]).arg(&key).status().unwrap();
    assert!(made.success());
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    panel.submit(&format!("/accounts/{account}/sftp-keys"), &[("key", public.trim())]);
    lab.until("the key signs in", PATIENCE, || lab.sftp_with_key("keyuser", &key, "ls /htdocs\n"));

    let fingerprint = Command::new("ssh-keygen").args(["-l", "-f"]).arg(&key).output().unwrap();
    let fingerprint = String::from_utf8_lossy(&fingerprint.stdout).split(' ').nth(1).unwrap().to_owned();
    panel.submit(&format!("/accounts/{account}/sftp-keys/remove"), &[("fingerprint", &fingerprint)]);
    lab.until("the removed key is refused", PATIENCE, || !lab.sftp_with_key("keyuser", &key, "ls /htdocs\n"));
}

#[test]
fn requests_are_logged_per_account_and_rotation_loses_none() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("logclient");
    let account = panel.account(&client, "loguser");
    let site = panel.site(&account, "logged.localhost", "static");
    panel.until_state(&format!("/sites/{site}"), "Active");
    let log = "/home/loguser/logs/access.log";
    lab.fetch("logged.localhost", "/before-rotation");
    lab.until("the request is in the log", PATIENCE, || lab.exec(&["cat", log]).contains("/before-rotation"));

    lab.exec(&["logrotate", "--force", "/etc/logrotate.d/gantry"]);
    assert!(lab.exec(&["cat", "/home/loguser/logs/access.log.1"]).contains("/before-rotation"));
    lab.fetch("logged.localhost", "/after-rotation");
    lab.until("the new log is written", PATIENCE, || lab.exec(&["cat", log]).contains("/after-rotation"));
    assert!(!lab.exec(&["cat", log]).contains("/before-rotation"));
}

/// Tries what a hostile script tries, and prints what worked.
const HOSTILE: &str = r#"<?php
ini_set('open_basedir', '');
$worked = [];
$try = function (string $name, callable $attempt) use (&$worked) {
    try { if (@$attempt()) { $worked[] = $name; } } catch (Throwable $error) { }
};
$run = fn (string $command) => trim((string) shell_exec($command . ' 2>/dev/null'));
$try('P-01 names of others', fn () => preg_match('/\bvictimuser\b/', $run('ls /home')));
$try('P-01 files of others', fn () => $run('cat /home/victimuser/htdocs/victim.localhost/*') !== '');
$try('P-02 shadow', fn () => $run('cat /etc/shadow') !== '');
$try('P-02 worker state', fn () => $run('ls /var/lib/gantry-worker') !== '');
$try('P-02 keys of others', fn () => $run('cat /etc/gantry-worker/keys/victimuser') !== '');
$try('P-02 pools of others', fn () => $run('cat /etc/gantry-worker/php/victimuser-8.2.conf') !== '');
$try('P-05 pool of others', fn () => fsockopen('unix:///run/gantry-php/victimuser-8.2.sock'));
$try('P-07 processes of others', fn () => preg_match('/gantry-worker run|nginx: |sshd|victimuser/', str_replace("\0", ' ', $run('cat /proc/*/cmdline'))));
$try('P-08 shared tmp', fn () => file_exists('/tmp/planted-by-victim'));
$try('P-11 dbus', fn () => str_contains($run('busctl --no-pager list'), 'org.freedesktop.systemd1'));
$try('P-15 privilege', fn () => posix_geteuid() === 0 || str_contains($run('id -u'), "0\n") || $run('su -c id') !== '');
$try('P-15 cron', fn () => $run('echo "* * * * * id" | crontab - && crontab -l') !== '');
$try('P-24 namespaces', fn () => $run('unshare -r id -u') === '0');
$try('write outside', fn () => file_put_contents('/etc/nginx/sites-enabled/evil.conf', 'x') || file_put_contents('/home/hostileuser/x', 'x'));
$try('write own logs dir', fn () => file_put_contents('/home/hostileuser/logs/evil.log', 'x'));
$try('replace own docroot', fn () => rename('/home/hostileuser/htdocs/hostile.localhost', '/home/hostileuser/htdocs/moved'));
echo posix_geteuid(), ' [', implode(', ', $worked), ']';
"#;

#[test]
fn a_hostile_script_reaches_nothing_but_its_own_account() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("hostileclient");
    let victim = panel.account(&client, "victimuser");
    let site = panel.site(&victim, "victim.localhost", "8.2");
    panel.until_state(&format!("/sites/{site}"), "Active");
    lab.exec(&["touch", "/tmp/planted-by-victim"]);

    let account = panel.account(&client, "hostileuser");
    let site = panel.site(&account, "hostile.localhost", "8.2");
    panel.until_state(&format!("/sites/{site}"), "Active");
    let password = panel.post(&format!("/accounts/{account}/sftp-password"), &[]).secret();
    lab.until("the script is uploaded", PATIENCE, || {
        lab.sftp_put("hostileuser", &password, HOSTILE, "/htdocs/hostile.localhost/index.php")
    });
    let uid = lab.exec(&["id", "-u", "hostileuser"]);
    let (status, worked) = lab.fetch("hostile.localhost", "/");
    assert_eq!((status, worked.as_str()), (200, format!("{} []", uid.trim()).as_str()));
}

#[test]
fn links_and_dotfiles_are_not_served() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("linkclient");
    let account = panel.account(&client, "linkuser");
    let site = panel.site(&account, "link.localhost", "static");
    panel.until_state(&format!("/sites/{site}"), "Active");
    let root = "/home/linkuser/htdocs/link.localhost";
    lab.exec(&[
        "setpriv",
        "--reuid",
        "linkuser",
        "--regid",
        "linkuser",
        "--clear-groups",
        "ln",
        "-s",
        "/etc/passwd",
        &format!("{root}/passwd.txt"),
    ]);
    lab.exec(&["setpriv", "--reuid", "linkuser", "--regid", "linkuser", "--clear-groups", "mkdir", &format!("{root}/.git")]);
    lab.exec(&[
        "setpriv",
        "--reuid",
        "linkuser",
        "--regid",
        "linkuser",
        "--clear-groups",
        "touch",
        &format!("{root}/.git/config"),
        &format!("{root}/.env"),
    ]);
    for path in ["/passwd.txt", "/.git/config", "/.env", "/..%2f..%2f..%2fetc/passwd", "/.gantry-probe"] {
        let (status, body) = lab.fetch("link.localhost", path);
        assert!(status != 200 && !body.contains("root:"), "{path} was served: {status} {body}");
    }
    assert_ne!(lab.fetch("nobody.localhost", "/").0, 200, "a name nobody has is nobody's site");
}
