#!/usr/bin/env python3
"""The k-th system call of each kind of job goes wrong, for every k: on a host of its own, by strace, with the worker's engine alone.

An account lives its life over and over: made, changed, suspended and deleted, with its pool and its sites. Each job is carried out
by `gantry-worker apply-file`, one thing after another, so that k means the same each time. First it is only watched, which gives
the list of points: (job, system call, k). At a point the worker, or a program that it started, is killed before the call, or the
call fails, or it fails and so does every later one. Each thread counts for itself, and the first that comes to its k-th call is
struck: that is the worker, unless it makes fewer of them than a program it starts. After that nginx's configuration must be valid; the same job is given again
and must be applied; and the auditor compares the host with what is wanted. A prober asks two sites of somebody else all the
while.

The seed decides the order of the points; with `--points` only so many are tried. All of them take days: a
run says how many it had time for, and fails for violations alone.
"""

import argparse
import json
import os
import random
import re
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import auditor  # noqa: E402
from jobs import Jobs  # noqa: E402
from prober import Prober  # noqa: E402

WORKER, DATABASE = "/usr/bin/gantry-worker", "var/lib/gantry-worker/apply-file.db"
STRACE, TRACE = "/root/strace", "/root/trace"
# Calls that change something, or that a change needs; ? for those that this strace may not know.
CHANGES = (
    "write pwrite64 writev ?rename renameat renameat2 ?mkdir mkdirat ?link linkat ?symlink symlinkat ?unlink unlinkat ?rmdir fchmod "
    "?chmod fchmodat ?fchmodat2 fchown ?chown ?lchown fchownat setxattr fsetxattr removexattr fremovexattr fsync fdatasync ftruncate "
    "mount execve ?clone3 clone ?fork ?vfork connect sendto sendmsg pidfd_send_signal"
).split()
# Calls that only fail, and once: to be killed at one of them is to be killed before the next change.
READS = "openat openat2 socket".split()
ERRORS = "ENOSPC EIO EROFS EMFILE EINTR ENOMEM EAGAIN".split()
PASSWORD = "$6$saltsalt$" + "a" * 86
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4Yb0yVw8jYkT0o1Yp2rSQqJm8a5L0yS9Jx3X5cV0aB me@laptop"
# A worker that hangs is killed and started again: it says nothing more to systemd's watchdog (60 s) once a call of the host has been
# under way for HANGS_AFTER (190 s, worker/src/system/watched.rs), which is longer than anything with a limit of its own may take.
WATCHDOG_S = 250


def log(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


class Life:
    """An account's life as a list of jobs, and what the host should hold after each."""

    def __init__(self, name):
        self.jobs, self.wants = Jobs(name), {}

    def steps(self):
        """Names of the jobs with a function each that writes it: always newer than the last."""
        jobs = self.jobs
        sftp = {"password": {"sender": "", "sealed": PASSWORD}, "keys": [KEY]}
        return [
            ("account create", lambda: jobs.account(1)),
            ("account change", lambda: jobs.account(1, sftp=sftp)),
            ("pool create", lambda: jobs.pool(1)),
            ("site create", lambda: jobs.site(1, 1)),
            ("static site create", lambda: jobs.site(2, 1, php=False)),
            ("site change", lambda: jobs.site(1, 1, aliases=("www", "shop"))),
            ("pool change", lambda: jobs.pool(1, memory_limit_mib=64)),
            ("site suspend", lambda: jobs.site(1, 1, "suspended")),
            ("static site suspend", lambda: jobs.site(2, 1, "suspended", php=False)),
            ("pool suspend", lambda: jobs.pool(1, "suspended", memory_limit_mib=64)),
            ("account suspend", lambda: jobs.account(1, "suspended", sftp)),
            ("account unsuspend", lambda: jobs.account(1, "active", sftp)),
            ("pool unsuspend", lambda: jobs.pool(1, memory_limit_mib=64)),
            ("site unsuspend", lambda: jobs.site(1, 1)),
            ("static site unsuspend", lambda: jobs.site(2, 1, php=False)),
            ("site from PHP to static", lambda: jobs.site(1, 1, php=False)),
            ("site delete", lambda: jobs.site(1, 1, "deleted")),
            ("pool delete", lambda: jobs.pool(1, "deleted")),
            ("account delete with its site", lambda: jobs.account(1, "deleted")),
        ]

    def applied(self, job):
        """Takes note of an applied job."""
        spec = job["job"]
        if spec["presence"] != "deleted":
            self.wants[job["resource"]] = job
            return
        self.wants.pop(job["resource"])
        if spec["type"] == "account":
            self.wants = {resource: kept for resource, kept in self.wants.items() if kept["account"] != job["account"]}

    def wanted(self):
        """What the auditor compares a host with, as the panel's database would say it."""
        accounts, sites, names, pools, keys = {}, [], {}, [], {}
        for job in self.wants.values():
            spec, account = job["job"], job["account"]
            if spec["type"] == "account":
                accounts[account] = {"id": account, "linux_user": spec["user"], "uid": spec["uid"], "presence": spec["presence"],
                                     "sftp_password_hash": spec["sftp"].get("password", {}).get("sealed"), **spec["limits"]}
                if spec["sftp"]["keys"]:
                    keys[account] = spec["sftp"]["keys"]
            elif spec["type"] == "php_pool":
                pools.append({"account_id": account, "version": spec["version"], "presence": spec["presence"],
                              "settings": json.dumps(spec["settings"])})
            else:
                site = {"id": job["resource"], "account_id": account, "domain": spec["domain"], "presence": spec["presence"],
                        "document_root": spec["document_root"], "php_version": spec["kind"].get("version")}
                sites.append(site)
                names[site["id"]] = [spec["domain"], *spec["aliases"]]
        return accounts, sites, names, pools, keys


class Worker:
    """The worker on the host, one job at a time, with or without strace around it."""

    def __init__(self, host):
        self.host = host

    def give(self, job):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(job, file)
            file.flush()
            self.host.ask("put", file.name, "/root/job.json")

    def apply(self, *strace):
        """Carries out the job that was given. Exit status and what was said."""
        command = [WORKER, "apply-file", "--single-threaded", "--summary", "--database", f"/{DATABASE}", "/root/job.json"]
        return self.host.run("timeout", "--signal=KILL", str(WATCHDOG_S), *strace, *command)

    def watch(self):
        """Carries out the job, and lists its calls: (call, how often a thread or process of it makes it at most)."""
        status, said = self.apply(*self.strace("trace=" + ",".join(CHANGES + READS)))
        if status != 0:
            raise SystemExit(f"a job fails by itself: {said[-2000:]}")
        counts, most = {}, {}
        for line in self.host.read(TRACE).decode(errors="replace").splitlines():
            match = re.match(r"(\d+) +(\w+)\(", line)
            if match:
                counts[match[1], match[2]] = counts.get((match[1], match[2]), 0) + 1
        for (_, call), count in counts.items():
            most[call] = max(most.get(call, 0), count)
        return sorted(most.items())

    @staticmethod
    def strace(*expressions):
        """strace with its own libraries: the host has neither."""
        loader = [f"{STRACE}/ld-linux-x86-64.so.2", "--library-path", STRACE, f"{STRACE}/strace", "-f", "-qq", "-o", TRACE]
        return loader + [part for expression in expressions for part in ("-e", expression)]


def points(calls, seed):
    """Each call of a job at each k: killed before it, failing once, failing from then on. Which error is up to the seed."""
    found = []
    for call, count in calls:
        for k in range(1, count + 1):
            choose = random.Random(f"{seed}/{call}/{k}")
            found.append((call, f"error={choose.choice(ERRORS)}:when={k}"))
            if call not in READS:
                found.append((call, f"signal=KILL:when={k}"))
                found.append((call, f"error={choose.choice(ERRORS)}:when={k}+"))
    random.Random(seed).shuffle(found)
    return found


class Sweep:
    def __init__(self, host, life, worker_database):
        self.host, self.life, self.worker, self.database = host, life, Worker(host), worker_database
        self.violations, self.tried, self.struck, self.felt, self.hung = [], 0, 0, 0, []

    def violation(self, text):
        self.violations.append(text)
        log(f"VIOLATION {text}")

    def step(self, name, job, point):
        """Carries a job out with a fault, and then again without."""
        self.worker.give(job)
        where = name
        if point:
            call, what = point
            where = f"{name}, {call} {what}"
            status, said = self.worker.apply(*self.worker.strace(f"trace={call}", f"inject={call}:{what}"))
            self.tried += 1
            self.felt += status != 0
            traced = self.host.read(TRACE)
            self.struck += b"(INJECTED)" in traced or b"killed by SIGKILL" in traced
            if status == 137 and "signal=KILL" not in what:
                self.hung.append(where)
                # strace is dead, and what it watched goes on without it.
                self.host.run("pkill", "-KILL", "-f", f"^{WORKER} apply-file")
            status, said = self.host.run("nginx", "-t")
            if status != 0:
                self.violation(f"{where}: nginx refuses what the fault has left: {said[-500:]}")
        # As the inbox gives it again to a worker that was killed; and if it has ended badly, as Retry does.
        status, said = self.worker.apply()
        if status != 0 and point:
            self.worker.give({**job, "attempt": 2})
            status, said = self.worker.apply()
        if status != 0:
            self.violation(f"{where}: the same job is not applied without the fault: {said[-1500:]}")
            return
        self.life.applied(job)
        found = self.audit()
        for sentence in found:
            self.violation(f"{where}: {sentence}")

    def audit(self):
        # Sockets and the processes of an account take a moment to go after systemd was told.
        deadline = time.monotonic() + 5
        while True:
            found = auditor.audit_host(self.host, self.life.wanted(), self.database, ("journal",))
            # Nobody empties the trash here: a worker that runs does.
            found = [sentence for sentence in found if not sentence.startswith("in the trash")]
            if not found or time.monotonic() > deadline:
                return found
            time.sleep(0.2)


def main():
    parser = argparse.ArgumentParser()
    for name in ("--host", "--lab", "--out"):
        parser.add_argument(name, required=True)
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--points", type=int, default=0, help="so many at most; 0 for all")
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(1_000_000)))
    arguments = parser.parse_args()
    host = auditor.Host(arguments.host, arguments.lab)
    database = os.path.join(host.ask("root").strip(), DATABASE)
    life = Life("sweep")
    sweep = Sweep(host, life, database)
    for neighbour in (life.jobs.account(9), life.jobs.pool(9), life.jobs.site(8, 9, php=False), life.jobs.site(9, 9)):
        sweep.step("somebody else", neighbour, None)
    prober = Prober(host.address, [life.jobs.domain(8), life.jobs.domain(9)])

    todo = {}
    for name, write in life.steps():
        job = write()
        sweep.worker.give(job)
        todo[name] = points(sweep.worker.watch(), f"{arguments.seed}/{name}")
        life.applied(job)
    total = sum(map(len, todo.values()))
    log(f"seed {arguments.seed}: {total} points in {len(todo)} kinds of job")
    if arguments.points:
        share = -(-arguments.points // len(todo))
        todo = {name: found[:share] for name, found in todo.items()}
    deadline = time.monotonic() + arguments.seconds
    lives = 0
    while any(todo.values()) and time.monotonic() < deadline and not sweep.violations:
        lives += 1
        for name, write in life.steps():
            sweep.step(name, write(), todo[name].pop() if todo[name] else None)
            if sweep.violations:
                break
        log(f"life {lives}: {sweep.tried} of {total} points, {sweep.struck} struck, {sweep.felt} felt, {prober.asked} asked, {len(prober.lost)} lost, {prober.late} late")
    prober.stop()
    for loss in prober.lost[:10]:
        sweep.violation(f"lost: {loss}")
    summary = {
        "seed": arguments.seed, "points": total, "tried": sweep.tried, "struck": sweep.struck, "felt": sweep.felt, "hung": sweep.hung, "left": sum(map(len, todo.values())),
        "asked": prober.asked, "lost": len(prober.lost), "late": prober.late, "longest_gap_ms": round(prober.longest_gap_s * 1000),
        "violations": sweep.violations,
    }
    with open(arguments.out, "w", encoding="utf-8") as out:
        json.dump(summary, out, indent=1)
    log(json.dumps(summary))
    if summary["left"]:
        log(f"INCOMPLETE: there was no time for {summary['left']} of the points; SECONDS_LONG gives more")
    if sweep.violations:
        log(f"{len(sweep.violations)} violations; again with SEED={arguments.seed}")
        raise SystemExit(1)
    print("\ntest result: ok. 1 passed; 0 failed; syscalls", flush=True)


main()
