#!/usr/bin/env python3
"""One site and a thousand of them, by the worker's engine itself: `gantry-worker apply-file` on a host without panel and bus.

Sites are spread evenly over the accounts, each with a PHP pool: accounts, pools and sites are three batches, since each builds on
the one before. Beside each figure is the floor of the same run: a script on the same host (batch-floor.pl) that does the same by
hand, together, with nothing that makes it safe. A prober asks two other sites on fresh connections all the while.
"""

import argparse
import json
import socket
import subprocess
import tempfile
import threading
import time

VERSION = "8.2"


def key(kind, number):
    """Ids that are the same in every run."""
    return f"0192{kind:04x}-0000-7000-8000-{number:012d}"


class Jobs:
    """Desired states, each newer than the last of its resource."""

    def __init__(self):
        self.generations, self.count = {}, 0

    def envelope(self, account, resource, job):
        generation = self.generations[resource] = self.generations.get(resource, 0) + 1
        self.count += 1
        return {
            "v": 1, "id": key(9, self.count), "operation": key(8, self.count), "epoch": key(7, 0), "server": "bench", "attempt": 1,
            "account": key(1, account), "resource": resource, "generation": generation, "job": job,
        }

    @staticmethod
    def user(account):
        return {"user": f"bench{account}", "uid": 300000 + account}

    def account(self, number, presence="active"):
        spec = {"type": "account", **self.user(number), "presence": presence, "sftp": {"keys": []},
                "limits": {"cpu_percent": 200, "memory_mib": 1024, "tasks": 200}}
        return self.envelope(number, f"account:{key(1, number)}", spec)

    def pool(self, account, settings, presence="present"):
        spec = {"type": "php_pool", **self.user(account), "version": VERSION, "presence": presence, "settings": settings}
        return self.envelope(account, f"php_pool:{key(2, account)}", spec)

    def site(self, number, account, presence="active", php=True):
        domain = f"site{number}.bench.com"
        kind = {"type": "php", "version": VERSION} if php else {"type": "static"}
        spec = {"type": "site", **self.user(account), "domain": domain, "aliases": [f"www.{domain}"], "document_root": domain,
                "kind": kind, "presence": presence}
        return self.envelope(account, f"site:{key(3, number)}", spec)


class Host:
    """The machine, by the lab's own commands."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name

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
        return [json.loads(line)["ms"] for line in printed.splitlines()]

    def floor(self, *arguments):
        return float(self.run("/root/batch-floor.pl", *map(str, arguments)))


class Prober:
    """Asks sites in turn, a hundred times a second in all, each time on a fresh connection."""

    def __init__(self, host, domains):
        self.host, self.domains, self.stopped = host, domains, threading.Event()
        self.answered, self.lost, self.gap_ms = 0, 0, 0.0
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self):
        while not self.stopped.is_set():
            for domain in self.domains:
                began = time.monotonic()
                good = self.ask(domain)
                self.answered += good
                self.lost += not good
                self.gap_ms = max(self.gap_ms, (time.monotonic() - began) * 1000)
                time.sleep(max(0.0, 0.01 - (time.monotonic() - began)))

    def ask(self, domain):
        try:
            with socket.create_connection((self.host, 80), timeout=10) as stream:
                stream.sendall(f"GET / HTTP/1.1\r\nHost: {domain}\r\nConnection: close\r\n\r\n".encode())
                return stream.recv(16).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def stop(self):
        self.stopped.set()
        self.thread.join()


class Bench:
    """The run, and its figures."""

    def __init__(self, host, out):
        self.host, self.out, self.jobs, self.lines = host, out, Jobs(), []
        self.settings = {
            "memory_limit_mib": 128, "max_execution_time_s": 30, "max_input_time_s": 60, "max_input_vars": 1000, "post_max_size_mib": 64,
            "upload_max_filesize_mib": 64,
            "process_manager": {"pm": "ondemand", "max_children": 10, "idle_timeout_s": 20, "max_requests": 500},
        }

    def figure(self, name, value, unit, floor=None, aim=None):
        figure = {"name": name, "value": round(value, 1), "unit": unit}
        if floor is not None:
            figure |= {"floor": round(floor, 1), "ratio": round(value / floor, 3)}
        self.lines.append(json.dumps(figure))
        print(self.lines[-1], flush=True)
        if aim is not None and not aim[0](value):
            print(f"missed: {name} should be {aim[1]}")
        with open(self.out, "w", encoding="utf-8") as out:
            out.write("\n".join(self.lines) + "\n")

    def accounts(self, numbers):
        return [self.jobs.account(number) for number in numbers], [self.jobs.pool(number, self.settings) for number in numbers]

    def one_site(self, size, samples):
        """A new account with its pool and a site; and of that the first site alone, and a second one, whose PHP is awake.
        All are removed before the next."""
        ours, firsts, seconds, floors = [], [], [], []
        for sample in range(samples + 1):
            account, site = 90000 + sample, 900000 + 10 * sample
            made, pools = self.accounts([account])
            times = self.host.apply(made, pools, [self.jobs.site(site, account)], [self.jobs.site(site + 1, account)])
            gone = [self.jobs.site(number, account, "deleted") for number in (site, site + 1)]
            self.host.apply(gone, [self.jobs.pool(account, self.settings, "deleted")], [self.jobs.account(account, "deleted")])
            floor = self.host.floor("add", "one", 600000, 1, 1)
            self.host.floor("remove", "one", 600000, 1, 1)
            # The first finds everything cold.
            if sample:
                ours.append(sum(times[:3]))
                firsts.append(sum(times[:3]) - times[3])
                seconds.append(times[3])
                floors.append(floor)
        self.figure(f"one_site.sites_{size}", median(ours), "ms", median(floors))
        return size, median(firsts), median(seconds)


def median(values):
    return sorted(values)[len(values) // 2]


def main():
    parser = argparse.ArgumentParser()
    for name in ("--host", "--out"):
        parser.add_argument(name, required=True)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--sites", type=int, default=1000)
    parser.add_argument("--accounts", type=int, default=100)
    parser.add_argument("lab", nargs=2)
    arguments = parser.parse_args()
    total, owners = arguments.sites, arguments.accounts
    print(f"{total} sites of {owners} accounts", flush=True)

    bench = Bench(Host(*arguments.lab), arguments.out)
    host, jobs = bench.host, bench.jobs
    # Two sites of somebody else: one that nginx serves by itself, one by PHP.
    made, pools = bench.accounts([99999])
    host.apply(made, pools, [jobs.site(999998, 99999, php=False), jobs.site(999999, 99999)])
    prober = Prober(arguments.host, ["site999998.bench.com", "site999999.bench.com"])

    points = [bench.one_site(0, arguments.samples)]

    floor = host.floor("add", "many", 400000, owners, total)
    gone = host.floor("remove-sites", "many", 400000, owners, total)
    host.floor("remove", "many", 400000, owners, total)
    made, pools = bench.accounts(range(owners))
    sites = [jobs.site(number, number % owners) for number in range(total)]
    waves = host.apply(made, pools, sites)
    print(f"accounts {waves[0]} ms, pools {waves[1]} ms, sites {waves[2]} ms", flush=True)
    created = sum(waves)
    bench.figure(f"batch.create_{total}", created, "ms", floor, (lambda ms: ms <= 6000, "at most 6000 ms") if total == 1000 else None)

    points.append(bench.one_site(total, arguments.samples))
    # Their PHP is awake, as that of ours.
    host.floor("add", "hundred", 500000, 10, 10)
    floor = host.floor("more", "hundred", 500000, 10, 100)
    host.floor("remove", "hundred", 500000, 10, 100)
    more = host.apply([jobs.site(number, number % owners) for number in range(total, total + 100)])
    bench.figure(f"batch.add_100_at_{total}", more[0], "ms", floor)
    host.apply([jobs.site(number, number % owners, "deleted") for number in range(total, total + 100)])

    # A tenth of them stay, for the point in between; then all are gone.
    kept = total // 10
    first = host.apply([jobs.site(number, number % owners, "deleted") for number in range(kept, total)])
    points.append(bench.one_site(kept, arguments.samples))
    again = host.apply([jobs.site(number, number % owners) for number in range(kept, total)])
    print(f"{total - kept} sites deleted in {first[0]} ms and made again in {again[0]} ms", flush=True)
    deleted = host.apply([jobs.site(number, number % owners, "deleted") for number in range(total)])
    bench.figure(f"batch.delete_{total}", deleted[0], "ms", gone)
    ends = host.apply([jobs.pool(number, bench.settings, "deleted") for number in range(owners)],
                      [jobs.account(number, "deleted") for number in range(owners)])
    print(f"{owners} pools deleted in {ends[0]} ms, accounts in {ends[1]} ms", flush=True)

    # One after another, each with its own test and reload: between the measured points as if the time grew evenly. The first
    # site of an account also costs the account, its pool, and the start of its PHP.
    points.sort()
    alone = sum((right[0] - left[0]) * (left[2] + right[2]) / 2 for left, right in zip(points, points[1:])) + owners * points[0][1]
    aim = (lambda times: times >= 60, "at least 60") if total == 1000 else None
    bench.figure(f"batch.speedup_{total}", alone / created, "times", aim=aim)
    prober.stop()
    print(f"the prober asked {prober.answered + prober.lost} times", flush=True)
    bench.figure("prober.lost", prober.lost, "requests", aim=(lambda lost: lost == 0, "0"))
    bench.figure("prober.longest_gap_ms", prober.gap_ms, "ms")


if __name__ == "__main__":
    main()
