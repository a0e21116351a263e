#!/usr/bin/env python3
"""One site, a thousand of them, and one more beside five thousand, by the worker's engine itself: `gantry-worker apply-file` on a host without panel and bus.

Sites are spread evenly over the accounts, each with a PHP pool: accounts, pools and sites are three batches, since each builds on
the one before. Beside each figure is the floor of the same run: a script on the same host (batch-floor.pl) that does the same by
hand, together, with nothing that makes it safe. A prober asks two other sites on fresh connections all the while.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from common import Figures, Laps, median  # noqa: E402
from jobs import PHP, Jobs  # noqa: E402


class Host:
    """The machine, by the lab's own commands."""

    def __init__(self, lab, name):
        self.lab, self.name, self.rss_mib = lab, name, 0

    def run(self, *command):
        return subprocess.run([self.lab, "exec", self.name, *command], check=True, capture_output=True, text=True).stdout

    def apply(self, *batches):
        """Milliseconds of each batch, in one process of the worker."""
        files = []
        for number, batch in enumerate(batches):
            with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
                json.dump(batch, file)
                file.flush()
                files.append(f"/root/batch-{number}.json")
                subprocess.run([self.lab, "put", self.name, file.name, files[-1]], check=True)
        try:
            printed = self.run("/usr/bin/gantry-worker", "apply-file", "--summary", "--database", "/root/bench.db", *files)
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"{error.stdout[-2000:]}\n{error.stderr[-4000:]}") from error
        summaries = [json.loads(line) for line in printed.splitlines()]
        self.rss_mib = summaries[-1]["rss_mib"]
        return [summary["ms"] for summary in summaries]

    def address(self):
        return subprocess.run([self.lab, "address", self.name], check=True, capture_output=True, text=True).stdout.strip()

    def floor(self, *arguments):
        return float(self.run("/root/batch-floor.pl", *map(str, arguments)))


ASLEEP = 99998
# Where all pools together take longer than this to end, those units are named that took longer than that to stop.
LONG_END_MS, LONG_STOP_MS = 5000, 1500
# PHP that stays awake between the measurements.
POOL = {"process_manager": {"pm": "ondemand", "max_children": 10, "idle_timeout_s": 600, "max_requests": 500}}


class Bench(Figures):
    """The run, and its figures."""

    def __init__(self, host, out):
        super().__init__(out)
        self.host, self.jobs, self.prober = host, Jobs("bench"), None

    def disturbed(self, name):
        """What the sites of somebody else noticed of it."""
        self.noticed(name, self.prober)

    def accounts(self, numbers):
        return [self.jobs.account(number) for number in numbers], [self.jobs.pool(number, **POOL) for number in numbers]

    def one_site(self, size, samples):
        """A new account with its pool and a site; and of that the first site alone, and a second one, whose PHP is awake.
        All are removed before the next."""
        ours, firsts, seconds, floors = [], [], [], []
        for sample in range(samples + 1):
            account, site = 90000 + sample, 900000 + 10 * sample
            made, pools = self.accounts([account])
            times = self.host.apply(made, pools, [self.jobs.site(site, account)], [self.jobs.site(site + 1, account)])
            gone = [self.jobs.site(number, account, "deleted") for number in (site, site + 1)]
            self.host.apply(gone, [self.jobs.pool(account, "deleted")], [self.jobs.account(account, "deleted")])
            floor = self.host.floor("add", "one", 600000, 1, 1)
            self.host.floor("remove", "one", 600000, 1, 1)
            # The first finds everything cold.
            if sample:
                ours.append(sum(times[:3]))
                firsts.append(sum(times[:3]) - times[3])
                seconds.append(times[3])
                floors.append(floor)
        self.figure(f"one_site.sites_{size}", median(ours), "ms", median(floors))
        self.disturbed(f"one_site.sites_{size}")
        return size, median(firsts), median(seconds)


class Sites:
    """So many sites, spread evenly over accounts."""

    # As many as the panel has a worker hold at a time.
    WAVE = 500

    def __init__(self, bench, total, owners, first_account=0, first_site=0):
        self.bench, self.total, self.owners = bench, total, owners
        self.first_account, self.first_site = first_account, first_site

    def site(self, number, presence="active"):
        return self.bench.jobs.site(self.first_site + number, self.first_account + number % self.owners, presence)

    def owned(self):
        return range(self.first_account, self.first_account + self.owners)

    def create(self):
        """Milliseconds of the accounts, the pools and the sites, each in one batch."""
        made, pools = self.bench.accounts(self.owned())
        return self.bench.host.apply(made, pools, [self.site(number) for number in range(self.total)])

    def seed(self):
        """In batches as a worker takes them. PHP is put to sleep after each, as a worker does with what is idle: all of it awake at
        once takes more memory than the machine has."""
        waves = lambda jobs: [jobs[at:at + self.WAVE] for at in range(0, len(jobs), self.WAVE)]
        host, (made, pools) = self.bench.host, self.bench.accounts(self.owned())
        times = host.apply(*waves(made), *waves(pools))
        for wave in waves([self.site(number) for number in range(self.total)]):
            times += host.apply(wave)
            host.run("systemctl", "stop", "gantry-php*@*.service")
        return times

    def apply(self, numbers, presence="active"):
        return self.bench.host.apply([self.site(number, presence) for number in numbers])[0]

    def end(self):
        """Milliseconds of the end of the pools and of the accounts, each in one batch."""
        jobs = self.bench.jobs
        return self.bench.host.apply([jobs.pool(number, "deleted") for number in self.owned()],
                                     [jobs.account(number, "deleted") for number in self.owned()])


def together(bench, total, owners, samples, points):
    """A thousand sites together; adds the cost of one more at each size to `points`."""
    host, sites = bench.host, Sites(bench, total, owners)
    at_most = lambda limit: (lambda ms: ms <= limit, f"at most {limit}") if total == 1000 else None
    bench.prober.lap()
    floor = host.floor("add", "many", 400000, owners, total)
    gone = host.floor("remove-sites", "many", 400000, owners, total)
    host.floor("remove", "many", 400000, owners, total)
    bench.prober.lap()
    waves = sites.create()
    print(f"accounts {waves[0]} ms, pools {waves[1]} ms, sites {waves[2]} ms", flush=True)
    created = sum(waves)
    bench.figure(f"batch.create_{total}", created, "ms", floor, at_most(6000))
    bench.disturbed(f"batch.create_{total}")

    points.append(bench.one_site(total, samples))
    # Their PHP is awake, as that of ours.
    host.floor("add", "hundred", 500000, 10, 10)
    floor = host.floor("more", "hundred", 500000, 10, 100)
    host.floor("remove", "hundred", 500000, 10, 100)
    bench.prober.lap()
    bench.figure(f"batch.add_100_at_{total}", sites.apply(range(total, total + 100)), "ms", floor)
    bench.disturbed(f"batch.add_100_at_{total}")
    sites.apply(range(total, total + 100), "deleted")

    # A tenth of them stay, for the point in between; then all are gone.
    kept = total // 10
    first = sites.apply(range(kept, total), "deleted")
    points.append(bench.one_site(kept, samples))
    again = sites.apply(range(kept, total))
    print(f"{total - kept} sites deleted in {first} ms and made again in {again} ms", flush=True)
    bench.prober.lap()
    bench.figure(f"batch.delete_{total}", sites.apply(range(total), "deleted"), "ms", gone)
    bench.disturbed(f"batch.delete_{total}")
    began, ends = time.time(), sites.end()
    print(f"{owners} pools deleted in {ends[0]} ms, accounts in {ends[1]} ms", flush=True)
    if ends[0] > LONG_END_MS:
        print(f"units that took long to stop: {', '.join(slow_stops(host, began)) or 'none'}", flush=True)

    # One after another, each with its own test and reload: between the measured points as if the time grew evenly. The first
    # site of an account also costs the account, its pool, and the start of its PHP.
    points.sort()
    alone = sum((right[0] - left[0]) * (left[2] + right[2]) / 2 for left, right in zip(points, points[1:])) + owners * points[0][1]
    aim = (lambda times: times >= 60, "at least 60") if total == 1000 else None
    bench.figure(f"batch.speedup_{total}", alone / created, "times", aim=aim)


def slow_stops(host, since):
    """The units of the host that took long to stop since then, as systemd's own journal says."""
    stopping, slow = {}, []
    for line in host.run("journalctl", "--quiet", "--output=json", f"--since=@{int(since)}", "_PID=1").splitlines():
        entry = json.loads(line)
        unit, word, at_ms = entry.get("UNIT"), str(entry["MESSAGE"]).split(" ")[0], int(entry["__REALTIME_TIMESTAMP"]) / 1000
        if word == "Stopping":
            stopping[unit] = at_ms
        elif word == "Stopped" and at_ms - stopping.get(unit, at_ms) > LONG_STOP_MS:
            slow.append(f"{unit} {at_ms - stopping[unit]:.0f} ms")
    return slow


def units(bench):
    """Milliseconds in which systemd reads all its units again, and in which the socket of one pool stops and starts."""
    def timed(*commands):
        began = time.monotonic()
        for command in commands:
            bench.host.run("systemctl", *command.split())
        return (time.monotonic() - began) * 1000

    socket = f"gantry-php{PHP}@bench{ASLEEP}.socket"
    return median([timed("daemon-reload") for _ in range(5)]), median([timed(f"stop {socket}", f"start {socket}") for _ in range(5)])


def large(bench, total, samples, empty_units):
    """One more site on a large host, and what the worker and systemd need there. Half as many accounts as sites: each has a slice
    and a socket."""
    host, sites = bench.host, Sites(bench, total, total // 2, first_account=10000, first_site=100000)
    waves = sites.seed()
    rss_mib = [host.rss_mib]
    print(f"{total} sites of {sites.owners} accounts in {len(waves)} batches: {sum(waves)} ms", flush=True)
    for name, ms, floor in zip(("daemon_reload", "socket"), units(bench), empty_units):
        bench.figure(f"systemd.{name}_accounts_{sites.owners}", ms, "ms", floor)
    bench.prober.lap()
    bench.one_site(total, samples)
    rss_mib.append(host.rss_mib)
    look = json.loads(host.run("/usr/bin/gantry-worker", "look", "--database", "/root/bench.db", "--times", "2"))
    print(f"a look at {look['resources']} resources: {median(look['ms'])} ms", flush=True)
    rss_mib.append(look["rss_mib"])
    print(f"memory after batches of {Sites.WAVE}, after one site, after a look: {rss_mib} MiB", flush=True)
    aim = (lambda mib: mib <= 60, "at most 60 MiB") if total == 5000 else None
    bench.figure(f"worker.rss_mib_{total}", max(rss_mib), "MiB", aim=aim)


def main():
    parser = argparse.ArgumentParser()
    for name in ("--host", "--out"):
        parser.add_argument(name, required=True)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--sites", type=int, default=1000)
    parser.add_argument("--accounts", type=int, default=100)
    parser.add_argument("--large", type=int, default=5000, help="0: no large host")
    parser.add_argument("lab", nargs=2)
    arguments = parser.parse_args()
    print(f"{arguments.sites} sites of {arguments.accounts} accounts", flush=True)

    bench = Bench(Host(*arguments.lab), arguments.out)
    # Two sites of somebody else: one that nginx serves by itself, one by PHP.
    made, pools = bench.accounts([99999])
    bench.host.apply(made, pools, [bench.jobs.site(999998, 99999, php=False), bench.jobs.site(999999, 99999)])
    bench.prober = Laps(arguments.host, ["site999998.bench.com", "site999999.bench.com"])
    # An account without sites, whose PHP nobody wakes.
    bench.host.apply(*bench.accounts([ASLEEP]))
    empty_units = units(bench)
    points = [bench.one_site(0, arguments.samples)]
    together(bench, arguments.sites, arguments.accounts, arguments.samples, points)
    if arguments.large:
        large(bench, arguments.large, arguments.samples, empty_units)
    bench.prober.stop()


if __name__ == "__main__":
    main()
