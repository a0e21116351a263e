//! The running nginx: it reads its configuration again, and whether it has is seen, not believed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, Signal, pidfd_open, pidfd_send_signal, prlimit};

use super::SystemError;
use super::command::cut;
use super::services::child_ids;
use crate::engine::check::plain;

/// Its program, by which it is known to be installed.
pub(crate) const NGINX: &str = "/usr/sbin/nginx";
/// Debian's, from nginx.conf.
const PID_FILE: &str = "/run/nginx.pid";
const ERROR_LOG: &str = "/var/log/nginx/error.log";
/// 5,000 sites take nginx 2 s until its new workers serve (measured); ten times that.
const RELOAD_LIMIT: Duration = Duration::from_secs(20);
/// So many looks in a row at a master that has nothing to do are no coincidence.
const REFUSED_AFTER: u32 = 3;
/// Generations of workers that may serve what they have begun for as long as nginx itself lets them. Each holds everybody's
/// configuration: 350 MiB of memory at 5,000 sites (measured).
const GENERATIONS: usize = 4;
/// Of more, each has at least this long, however often there is a reload: somebody's download is not another's to cut.
const GRACE: Duration = Duration::from_mins(1);
/// Unless less than this part of the host's memory is left.
const SCARCE: u64 = 4;

/// Since when workers have been seen to leave.
static LEAVING: Mutex<BTreeMap<i32, Instant>> = Mutex::new(BTreeMap::new());

/// Sends the master the signal itself (`nginx -s reload` would parse the whole configuration once more before it does the
/// same), and returns when no worker of the old configuration takes connections any more, or when the master has gone back to
/// waiting without having started one: then it has refused, which it tells nobody but its log.
pub(super) fn reload() -> Result<(), SystemError> {
    let master = master()?;
    let descriptor = pidfd_open(master, PidfdFlags::empty()).map_err(|_| nginx_is("is not running"))?;
    make_room(Some(master));
    let (before, children) = (workers(master).accepting, child_ids(master));
    let log = fs::metadata(ERROR_LOG).map_or(0, |log| log.len());
    pidfd_send_signal(&descriptor, Signal::HUP).map_err(|_| nginx_is("does not take signals"))?;
    let deadline = Instant::now() + RELOAD_LIMIT;
    let mut nap = Duration::from_millis(1);
    let mut idle = 0;
    loop {
        // In this order: a master that waits has started all it will start.
        let waits = waits_for_signals(master);
        let started = has_started(&children, &child_ids(master));
        let now = workers(master);
        if !now.accepting.is_empty() && now.accepting.is_disjoint(&before) {
            end_oldest(&now);
            return Ok(());
        }
        idle = if waits && !started { idle + 1 } else { 0 };
        if idle >= REFUSED_AFTER {
            return Err(SystemError::ReloadRefused { said: said_since(log) });
        }
        if Instant::now() >= deadline {
            return Err(nginx_is("did not take up its new configuration; its error log says why"));
        }
        thread::sleep(nap);
        nap = (nap * 2).min(Duration::from_millis(50));
    }
}

fn nginx_is(reason: &str) -> SystemError {
    SystemError::Service { unit: "nginx".to_owned(), reason: reason.to_owned() }
}

fn master() -> Result<Pid, SystemError> {
    let text = fs::read_to_string(PID_FILE).map_err(|_| nginx_is("is not running"))?;
    let pid = text.trim().parse().ok().and_then(Pid::from_raw).ok_or_else(|| nginx_is("has no process id"))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    if name.trim() == "nginx" { Ok(pid) } else { Err(nginx_is("left a stale process id")) }
}

/// Raises how many files a process may have open (`None`: this one): a master that reloads opens every log a second time beside
/// those it has, and those of new accounts; its workers inherit the limit. What cannot be raised stays.
pub(super) fn make_room(process: Option<Pid>) {
    /// `fs.nr_open`, which no limit may exceed.
    const MOST: u64 = 1 << 20;
    let place = process.map_or_else(|| "/proc/self".to_owned(), |pid| format!("/proc/{pid}"));
    let needed = match process {
        Some(_) => (4 * fs::read_dir(format!("{place}/fd")).map_or(0, Iterator::count) as u64 + 4096).next_power_of_two().min(MOST),
        None => MOST,
    };
    let (soft, hard) = open_files(&fs::read_to_string(format!("{place}/limits")).unwrap_or_default());
    if soft >= needed {
        return;
    }
    let raised = |limit: u64| prlimit(process, Resource::Nofile, Rlimit { current: Some(limit), maximum: Some(limit.max(hard)) });
    if raised(needed).or_else(|_| raised(hard)).is_err() {
        tracing::warn!(limit = soft, needed, "nginx's limit of open files could not be raised");
    }
}

/// Soft and hard limit of open files, as proc(5) shows the limits of a process.
fn open_files(limits: &str) -> (u64, u64) {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap_or_default();
    let mut values = line.split_whitespace().map(|value| value.parse().unwrap_or(u64::MAX));
    (values.next().unwrap_or(u64::MAX), values.next().unwrap_or(u64::MAX))
}

/// The master's workers.
struct Workers {
    /// Those that take connections.
    accepting: BTreeSet<i32>,
    /// Those that leave when they have ended what they have begun, the oldest first.
    leaving: Vec<i32>,
}

/// One that is leaving says so in its title.
fn workers(master: Pid) -> Workers {
    let (mut accepting, mut leaving) = (BTreeSet::new(), Vec::new());
    for pid in child_ids(master) {
        let title = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let title = String::from_utf8_lossy(&title);
        if !title.starts_with("nginx: worker process") {
            continue;
        }
        if title.contains("shutting down") {
            leaving.push((started(pid), pid));
        } else {
            accepting.insert(pid);
        }
    }
    leaving.sort_unstable();
    Workers { accepting, leaving: leaving.into_iter().map(|(_, pid)| pid).collect() }
}

/// When a process was started, in ticks since boot (field 22 of proc(5)'s `stat`, counted after the command's parenthesis).
fn started(pid: i32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    fields.split_whitespace().nth(19).and_then(|field| field.parse().ok()).unwrap_or(0)
}

/// Long downloads and open streams keep a replaced worker alive; the oldest of too many are told to end.
fn end_oldest(workers: &Workers) {
    let mut since = LEAVING.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    since.retain(|pid, _| workers.leaving.contains(pid));
    for pid in &workers.leaving {
        since.entry(*pid).or_insert(now);
    }
    let grace = if memory_is_scarce(&fs::read_to_string("/proc/meminfo").unwrap_or_default()) { Duration::ZERO } else { GRACE };
    let too_many = workers.leaving.len().saturating_sub(GENERATIONS * workers.accepting.len());
    for pid in overdue(&workers.leaving[..too_many], &since, now, grace) {
        let descriptor = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        // Its number may have become another's in between; a worker's would still be one that is leaving.
        let is_worker = fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|title| title.starts_with(b"nginx: worker process is shutting"));
        if let (Some(descriptor), true) = (descriptor, is_worker) {
            let _ = pidfd_send_signal(&descriptor, Signal::TERM);
        }
    }
}

/// Those that have had their grace.
fn overdue(workers: &[i32], since: &BTreeMap<i32, Instant>, now: Instant, grace: Duration) -> Vec<i32> {
    let has_had = |pid: &i32| since.get(pid).is_some_and(|left| now.duration_since(*left) >= grace);
    workers.iter().copied().filter(has_had).collect()
}

/// Whether little memory is left, as proc(5)'s `meminfo` says; if it says nothing, there is enough.
fn memory_is_scarce(meminfo: &str) -> bool {
    let kib = |key: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok())
    };
    kib("MemAvailable:").zip(kib("MemTotal:")).is_some_and(|(available, total)| available < total / SCARCE)
}

/// Whether there is a child that was not there before. On a busy machine it may be a while until it calls itself a worker.
fn has_started(before: &[i32], now: &[i32]) -> bool {
    now.iter().any(|child| !before.contains(child))
}

/// Whether the master sleeps until a signal comes: it blocks signals whenever it does anything else (`sigsuspend` in
/// ngx_master_process_cycle), and none is on its way to it.
fn waits_for_signals(master: Pid) -> bool {
    fs::read_to_string(format!("/proc/{master}/status")).is_ok_and(|status| waits(&status))
}

fn waits(status: &str) -> bool {
    let value = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    let hup = |key: &str| value(key).and_then(|mask| u64::from_str_radix(mask, 16).ok()).is_none_or(|mask| mask & 1 != 0);
    let sleeps = value("State:").is_some_and(|state| state.starts_with('S'));
    sleeps && !hup("SigPnd:") && !hup("ShdPnd:") && !hup("SigBlk:")
}

/// What nginx has written into its log since it had that length.
fn said_since(length: u64) -> String {
    let mut text = Vec::new();
    let read = File::open(ERROR_LOG).and_then(|mut log| {
        log.seek(SeekFrom::Start(length))?;
        log.take(64 * 1024).read_to_end(&mut text)
    });
    let text = String::from_utf8_lossy(&text);
    // Of a port that is taken it says the same five times.
    let mut grave: Vec<String> = text.lines().filter(|line| line.contains("[emerg]") || line.contains("[alert]")).map(plain).collect();
    grave.dedup();
    if read.is_err() || grave.is_empty() {
        return "its error log says why".to_owned();
    }
    cut(grave.join("\n"), 2048)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use super::{GRACE, has_started, memory_is_scarce, open_files, overdue, waits};

    /// As the kernel shows a master that sleeps in `sigsuspend`, with one field changed.
    fn status(state: &str, shared: &str, blocked: &str) -> String {
        format!("Name:\tnginx\nState:\t{state}\nSigPnd:\t0000000000000000\nShdPnd:\t{shared}\nSigBlk:\t{blocked}\n")
    }

    #[test]
    fn reads_a_processs_limits_as_the_kernel_shows_them() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max open files            1024                 524288               files     \n\
                      Max locked memory         unlimited            unlimited            bytes     \n";
        assert_eq!(open_files(limits), (1024, 524_288));
    }

    /// A tenant's frequent changes cut everybody's long requests after as many reloads as take a few seconds.
    #[test]
    fn a_worker_that_leaves_has_its_grace_however_many_follow_it_unless_memory_is_scarce() {
        let start = Instant::now();
        let since = BTreeMap::from([(1, start), (2, start + GRACE / 2)]);
        let of_both = |now, grace| overdue(&[1, 2, 3], &since, now, grace);
        assert!(of_both(start + GRACE / 2, GRACE).is_empty());
        assert_eq!(of_both(start + GRACE, GRACE), [1]);
        assert_eq!(of_both(start + GRACE / 2, Duration::ZERO), [1, 2], "one that was never seen is nobody's to end");
        let of = |available: u64| memory_is_scarce(&format!("MemTotal:  4000 kB\nMemFree:  1 kB\nMemAvailable:  {available} kB\n"));
        assert!(of(999) && !of(1000) && !memory_is_scarce(""));
    }

    /// A reload was called refused when its new workers had not yet come to name themselves (load 170, 5,000 sites).
    #[test]
    fn a_child_that_has_no_name_yet_has_been_started() {
        assert!(has_started(&[5, 6], &[5, 6, 7]) && has_started(&[5, 6], &[7]));
        assert!(!has_started(&[5, 6], &[5, 6]) && !has_started(&[5, 6], &[6]));
    }

    #[test]
    fn a_master_waits_when_it_sleeps_and_no_hangup_is_blocked_or_on_its_way() {
        let none = "0000000000000000";
        assert!(waits(&status("S (sleeping)", none, none)));
        assert!(!waits(&status("R (running)", none, none)), "it has just been woken");
        assert!(!waits(&status("S (sleeping)", "0000000000000001", none)), "the signal has not reached it");
        assert!(!waits(&status("S (sleeping)", none, "0000000018016a07")), "it waits for something else: a name, a port");
        assert!(!waits(""), "a process that is gone does not wait");
    }
}
