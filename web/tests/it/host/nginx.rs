//! nginx on a large host: room for what it opens, old workers that end, reloads that it refuses.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::lab::Lab;
use super::prober::Prober;
use super::world;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// The soft limit of open files of each process whose title matches.
fn open_files(lab: &Lab, title: &str) -> Vec<u64> {
    let script = format!("for pid in $(pgrep -f '{title}'); do awk '/Max open files/ {{ print $4 }}' /proc/$pid/limits; done");
    lab.exec(&["sh", "-c", &script]).lines().filter_map(|line| line.parse().ok()).collect()
}

#[test]
fn nginx_has_room_for_every_log_twice_and_is_given_it_while_it_runs() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("openclient");
    let account = panel.account(&client, "openuser");
    let page = format!("/sites/{}", panel.site(&account, "open.localhost", "static"));
    panel.until_state(&page, "Active");
    // Where even root may not raise a hard limit, that is as far as it goes.
    let hard = lab.exec(&["awk", "/Max open files/ { print $5 }", "/proc/1/limits"]).trim().parse().unwrap_or(u64::MAX);
    let room = |limits: &[u64], least: u64| !limits.is_empty() && limits.iter().all(|limit| *limit >= least.min(hard));
    let workers = open_files(lab, "^nginx: worker process$");
    assert!(room(&workers, 8_192), "{workers:?}");
    let said = lab.exec(&["nginx", "-T"]);
    for line in ["worker_connections 4096;", "worker_shutdown_timeout 300s;", "worker_rlimit_nofile 32768;"] {
        assert!(said.contains(line), "{line} is not in {said}");
    }
    assert!(lab.exec(&["systemctl", "show", "--property=LimitNOFILE", "nginx.service"]).contains("=32768"));

    lab.exec(&["sh", "-c", "prlimit --pid $(cat /run/nginx.pid) --nofile=512:"]);
    panel.submit(&format!("{page}/suspend"), &[]);
    panel.until_state(&page, "Suspended");
    let master = open_files(lab, "^nginx: master process");
    assert!(room(&master, 4_096), "{master:?}");
}

#[test]
fn readers_that_never_end_do_not_keep_old_workers_for_ever() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("dripclient");
    let account = panel.account(&client, "dripuser");
    let page = format!("/sites/{}", panel.site(&account, "drip.localhost", "static"));
    panel.until_state(&page, "Active");
    let toggled = format!("/sites/{}", panel.site(&account, "toggled.localhost", "static"));
    panel.until_state(&toggled, "Active");
    let file = "/home/dripuser/htdocs/drip.localhost/large";
    lab.exec(&["sh", "-c", &format!("truncate -s 1G {file} && chown dripuser: {file}")]);
    let count =
        |title: &str| -> usize { lab.exec(&["sh", "-c", &format!("pgrep -fc '{title}' || true")]).trim().parse().expect("a number") };

    let prober = Prober::start(&lab.address, &["drip.localhost"]);
    let mut readers = Vec::new();
    let generations = 4 * count("^nginx: worker process$") + 2;
    for n in 0..generations {
        let mut reader = TcpStream::connect((lab.address.as_str(), 80)).expect("nginx takes connections");
        write!(reader, "GET /large HTTP/1.1\r\nHost: drip.localhost\r\n\r\n").expect("nginx takes the request");
        reader.read_exact(&mut [0; 1024]).expect("it has begun");
        readers.push(reader);
        let (verb, state) = if n % 2 == 0 { ("suspend", "Suspended") } else { ("unsuspend", "Active") };
        panel.submit(&format!("{toggled}/{verb}"), &[]);
        panel.until_state(&toggled, state);
    }
    let most = generations - 2;
    lab.until("the oldest have ended", PATIENCE, || count("^nginx: worker process is shutting down") <= most);
    prober.assert_nothing_lost();
}

#[test]
fn a_reload_that_nginx_refuses_without_a_word_fails_the_job_with_the_reason_and_retry_works() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("refusedclient");
    let account = panel.account(&client, "refuseduser");
    let good = panel.site(&account, "served.localhost", "8.2");
    panel.until_state(&format!("/sites/{good}"), "Active");
    let prober = Prober::start(&lab.address, &["served.localhost"]);
    // sshd has this port: nginx's own test is content with the file, and its master is not.
    lab.write("/etc/nginx/conf.d/zz-port.conf", "server { listen 22; server_name port.localhost; }\n");
    assert!(lab.succeeds(&["nginx", "-t"]));
    let page = format!("/sites/{}", panel.site(&account, "unloaded.localhost", "8.2"));
    panel.until_state(&page, "Failed");
    let log = lab.exec(&["journalctl", "--no-pager", "--unit=gantry-worker", "--grep=nginx refused its new configuration"]);
    assert!(log.contains("0.0.0.0:22 failed"), "{log}");
    assert!(!lab.succeeds(&["test", "-e", "/etc/nginx/sites-enabled/unloaded.localhost.conf"]), "nothing is left behind");
    assert_eq!(lab.fetch("served.localhost", "/").0, 200);
    lab.exec(&["rm", "/etc/nginx/conf.d/zz-port.conf"]);
    panel.submit(&format!("{page}/retry"), &[]);
    panel.until_state(&page, "Active");
    prober.assert_nothing_lost();
}
