//! What a tenant can reach, and cannot: keys, logs, the network, and a hostile script (P-01 to P-15 of the catalogue's list).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use super::site::php_form;
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
fn a_flood_of_connections_that_do_not_sign_in_keeps_nobody_else_out() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("floodclient");
    let account = panel.account(&client, "flooduser");
    let password = panel.post(&format!("/accounts/{account}/sftp-password"), &[]).secret();
    lab.until("the password works", PATIENCE, || lab.sftp("flooduser", &password, "ls /htdocs\n"));
    // From one source; sshd closes what is above its share. The rest of the world, here the host itself, still gets in.
    let flood: Vec<_> = (0..150).map(|_| TcpStream::connect((lab.address.as_str(), 22)).expect("a connection")).collect();
    let greeted = |name: &str| {
        lab.exec(&["php8.2", "-r", &format!("echo fgets(stream_socket_client('tcp://{name}:22', $code, $text, 5));")])
            .starts_with("SSH-2.0")
    };
    lab.until("sshd turns the flood away", PATIENCE, || flood.iter().filter(|stream| closed(stream)).count() >= 140);
    for _ in 0..5 {
        assert!(greeted("127.0.0.1"));
    }
    drop(flood);
    lab.until("the source itself is let in again", PATIENCE, || lab.sftp("flooduser", &password, "ls /htdocs\n"));
}

/// Whether the other side has closed a connection; what it has sent is read on the way.
fn closed(mut stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    let mut bytes = [0_u8; 1024];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
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

/// Stops every process of its user but itself, over and over.
const STOPPER: &str = "<?php set_time_limit(0); while (true) { posix_kill(-1, 19); usleep(200); }";

#[test]
fn a_tenant_who_stops_his_own_processes_holds_up_nobody() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("stopclient");
    let (account, neighbour) = (panel.account(&client, "stopuser"), panel.account(&client, "movinguser"));
    let site = panel.site(&account, "stopped.localhost", "8.2");
    panel.until_state(&format!("/sites/{site}"), "Active");
    lab.write("/home/stopuser/htdocs/stopped.localhost/stop.php", STOPPER);
    let mut request = TcpStream::connect((lab.address.as_str(), 80)).expect("nginx takes connections");
    write!(request, "GET /stop.php HTTP/1.1\r\nHost: stopped.localhost\r\n\r\n").expect("nginx takes the request");
    let states = || lab.exec(&["sh", "-c", "ps -o stat= -u stopuser || true"]);
    lab.until("his master is stopped", PATIENCE, || states().contains('T'));

    // Longer than two jobs take, and shorter than a program may hang.
    let soon = Duration::from_secs(25);
    let began = Instant::now();
    panel.submit(&format!("/accounts/{account}/php/8.2"), &php_form("3"));
    let other = panel.site(&neighbour, "moving.localhost", "static");
    panel.until_state(&format!("/sites/{other}"), "Active");
    assert!(began.elapsed() < soon, "{:?}", began.elapsed());
    let pool = "/etc/gantry-worker/php/stopuser-8.2.conf";
    lab.until("his pool was tested and is in place", PATIENCE, || lab.succeeds(&["grep", "-q", "post_max_size.*3M", pool]));
    let began = Instant::now();
    lab.exec(&["systemctl", "reload", "gantry-php8.2@stopuser.service"]);
    // systemd would give it twenty.
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert!(states().contains('T'), "he does so still");
    lab.exec(&["pkill", "-KILL", "-u", "stopuser"]);
}

/// A little network beside the host, `beyond`, with what a tenant might look for: a web server, a mail server, a resolver, and
/// metadata services at their own addresses. And what listens on the host itself.
const NEIGHBOURHOOD: &str = r#"set -eu
ip netns add beyond
ip link add beyond0 type veth peer name beyond1 netns beyond
ip address add 198.51.100.1/24 dev beyond0
ip -6 address add 2001:db8:51::1/64 dev beyond0 nodad
ip link set beyond0 up
ip -n beyond link set lo up
ip -n beyond link set beyond1 up
for address in 198.51.100.2/24 169.254.169.254/32 100.100.100.200/32; do ip -n beyond address add $address dev beyond1; done
for address in 2001:db8:51::2/64 fd00:ec2::254/128; do ip -n beyond -6 address add $address dev beyond1 nodad; done
ip route add 169.254.169.254/32 dev beyond0
ip route add 100.100.100.200/32 dev beyond0
ip -6 route add fd00:ec2::254/128 dev beyond0
for port in 25 53 80 443; do
    systemd-run --quiet --collect --unit=beyond-$port ip netns exec beyond /usr/bin/php8.2 -S "[::]:$port" -t /srv
done
for port in 53 3306 4222; do
    systemd-run --quiet --collect --unit=here-$port /usr/bin/php8.2 -S "[::]:$port" -t /srv
done
"#;

const NO_NEIGHBOURHOOD: &str =
    "systemctl stop 'beyond-*' 'here-*'; ip netns delete beyond 2>/dev/null; ip link delete beyond0 2>/dev/null || true";

/// Where a tenant may connect to, and where not. `OWN4` and `OWN6` are the host's own addresses.
const ALLOWED: [&str; 8] = [
    "198.51.100.2:80",
    "198.51.100.2:443",
    "[2001:db8:51::2]:443",
    "198.51.100.2:53",
    "169.254.169.254:53",
    "127.0.0.1:53",
    "[::1]:53",
    "OWN4:80",
];
const FORBIDDEN: [&str; 14] = [
    "198.51.100.2:25",
    "[2001:db8:51::2]:25",
    "169.254.169.254:80",
    "100.100.100.200:80",
    "[fd00:ec2::254]:80",
    "127.0.0.1:80",
    "127.0.0.1:4222",
    "127.0.0.2:3306",
    "[::1]:80",
    "[::1]:4222",
    "OWN4:4222",
    "OWN4:22",
    "[OWN6]:4222",
    "198.51.100.1:3306",
];

/// Prints which of the addresses in `$places` take a connection.
const CONNECT: &str = r#"
$open = array_filter($places, function ($place) {
    $connection = @stream_socket_client("tcp://$place", $code, $text, 3);
    return $connection !== false;
});
echo implode(' ', $open);
"#;

#[test]
fn an_account_reaches_the_world_but_neither_the_hosts_own_services_nor_metadata_nor_foreign_mail_servers() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("egressclient");
    let account = panel.account(&client, "egressuser");
    let site = panel.site(&account, "egress.localhost", "8.2");
    panel.until_state(&format!("/sites/{site}"), "Active");
    let six = lab.run("address", &["6"]);
    let name = |place: &str| place.replace("OWN4", &lab.address).replace("OWN6", six.trim());
    let (allowed, forbidden) = (ALLOWED.map(name), FORBIDDEN.map(name));
    let list = |places: &[String]| format!("$places = ['{}'];{CONNECT}", places.join("', '"));
    let every = [allowed.as_slice(), forbidden.as_slice()].concat();
    lab.exec(&["sh", "-c", NO_NEIGHBOURHOOD]);
    lab.exec(&["sh", "-c", NEIGHBOURHOOD]);
    let as_root = || lab.exec(&["php8.2", "-r", &list(&every)]);
    lab.until("everything answers whom it may", PATIENCE, || as_root() == every.join(" "));

    lab.write("/home/egressuser/htdocs/egress.localhost/allowed.php", &format!("<?php {}", list(&allowed)));
    lab.write("/home/egressuser/htdocs/egress.localhost/forbidden.php", &format!("<?php {}", list(&forbidden)));
    assert_eq!(lab.fetch("egress.localhost", "/allowed.php"), (200, allowed.join(" ")));
    assert_eq!(lab.fetch("egress.localhost", "/forbidden.php"), (200, String::new()));

    // An administrator's own rules stand beside ours, and loading them again, which flushes everything, opens nothing.
    lab.exec(&["nft", "add", "table", "inet", "administrator"]);
    lab.exec(&["systemctl", "restart", "gantry-firewall"]);
    assert!(lab.succeeds(&["nft", "list", "table", "inet", "administrator"]));
    lab.exec(&["systemctl", "start", "nftables"]);
    for verb in ["reload", "restart"] {
        lab.exec(&["systemctl", verb, "nftables"]);
        lab.until("the rules are back", PATIENCE, || lab.fetch("egress.localhost", "/forbidden.php") == (200, String::new()));
    }
    lab.exec(&["systemctl", "stop", "nftables"]);
    lab.exec(&["sh", "-c", NO_NEIGHBOURHOOD]);
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
