#!/usr/bin/env python3
"""Faults at random while people work, then calm, then an audit; over and over.

A round: for some seconds actors make, change, suspend and delete accounts and sites through the panel, and pause its queue, while
faults come and go. Then everything is healed. One after the other, every request must end (I1); what failed is tried again once and
must succeed; the auditor compares database and host (I2, I3); and the prober must have lost nothing on sites that nobody touched (I4).

The seed decides what the actors do and, round by round, which faults strike in which order and what each does. How many of them a
round has time for is up to the machine, and so is what is there when they strike: the summary's `strikes` say what it was.
"""

import argparse
import contextlib
import http.client
import itertools
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import auditor  # noqa: E402
from actor import Actor  # noqa: E402
from faults import faults  # noqa: E402
from jobs import PHP  # noqa: E402
from panel import Panel  # noqa: E402
from prober import Prober  # noqa: E402
from site_answer import fetch  # noqa: E402

# Of the requests that are left, one ends within so long: the bus gives what somebody who was killed had to the next one after 10 s,
# and lets a worker whose connection was cut in silence in again after 30.
SETTLE_S = 60
# All of them end within so long, and a fault's own patience beyond SETTLE_S.
SETTLE_ALL_S = 180
AUDIT_S = 15


def log(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


class World:
    def __init__(self, arguments):
        self.panel_address, self.database, self.up, self.out = arguments.panel, arguments.database, int(arguments.up), arguments.out
        self.bus = os.path.join(os.path.dirname(os.path.dirname(arguments.database)), "bus")
        self.host = auditor.Host(arguments.host, arguments.lab)
        # How long nothing may end, of what is left once a round's faults are over.
        self.patience_s = SETTLE_S
        self.violations = []
        # What was injected: which fault, in which round, as which of it, how many seconds after it began.
        self.strikes = []
        self.most_open = {}
        self.requests = {"accepted": 0, "refused": 0, "unanswered": 0, "unavailable": 0}
        # Held while the panel's database is, and may be said to be.
        self.database_is_locked = threading.Event()

    def violation(self, text):
        self.violations.append(text)
        log(f"VIOLATION {text}")

    def children(self, *marks):
        """Processes that `gantry up` started whose command line holds all of these."""
        found, queue = [], [self.up]
        while queue:
            for pid in self.children_of(queue.pop()):
                queue.append(pid)
                # A process that has ended meanwhile is no child any more.
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    line = read(f"/proc/{pid}/cmdline").split("\0")
                    if all(any(mark in part for part in line[:2]) for mark in marks):
                        found.append(int(pid))
        return found

    @staticmethod
    def children_of(parent):
        found = []
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for task in os.listdir(f"/proc/{parent}/task"):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    found += read(f"/proc/{parent}/task/{task}/children").split()
        return found

    def kill(self, *marks, sent=signal.SIGKILL):
        """Sends a signal to processes that `gantry up` started; those it was sent to."""
        found = self.children(*marks)
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sent)
        return found

    @contextlib.contextmanager
    def bus_stopped(self):
        """The bus is dead, and is not started again before the end. Where its streams lie."""
        streams = os.path.join(self.bus, "streams")
        os.kill(self.up, signal.SIGSTOP)
        try:
            for pid in self.kill("nats-server"):
                while os.path.exists(f"/proc/{pid}/fd/0"):
                    time.sleep(0.01)
            for directory in (streams, os.path.join(self.bus, "accounts")):
                # The bus had no time to make them since they were lost.
                if not os.path.exists(directory):
                    os.mkdir(directory, 0o700)
                    os.chown(directory, os.stat(self.bus).st_uid, os.stat(self.bus).st_gid)
            yield streams
        finally:
            os.kill(self.up, signal.SIGCONT)

    def open_files(self):
        """Of each long-lived process its most open files so far: they must not grow."""
        pids = {mark: self.children(mark) for mark in ("dispatch", "serve", "nats-server")}
        pids["worker"] = [int(pid) for pid in self.host.run("systemctl", "show", "--property=MainPID", "--value", "gantry-worker")[1].split()]
        found = {}
        for mark, all_of in pids.items():
            for pid in all_of:
                path = self.host.path(f"/proc/{pid}/fd") if mark == "worker" else f"/proc/{pid}/fd"
                try:
                    found[mark] = max(found.get(mark, 0), len(os.listdir(path)))
                except OSError:
                    pass
        return found


def settle(world):
    """Waits until every job has ended. False if for too long none does, or all of them take too long."""
    began = moved = time.monotonic()
    before = set()
    while True:
        pending = auditor.rows(world.database, f"SELECT id, resource, state FROM jobs WHERE state IN {auditor.UNDER_WAY}")
        if not pending:
            return True
        now, left = time.monotonic(), {job["id"] for job in pending}
        if before - left:
            moved = now
        before = left
        if now - moved > world.patience_s or now - began > SETTLE_ALL_S + world.patience_s - SETTLE_S:
            for job in pending:
                world.violation(f"a job of {job['resource']} is still {job['state']} {now - began:.0f} s after the faults ended")
            return False
        time.sleep(0.2)


def try_again(world, panel):
    """Tries what failed again, as a person would once the fault is gone."""
    for table in ("accounts", "sites"):
        for row in auditor.rows(world.database, f"SELECT id FROM {table} WHERE state = 'failed'"):
            panel.request("POST", f"/{table}/{row['id']}/retry", {})
    # A pool has no page of its own: its request is tried again, whatever has become of the site that it was for.
    pools = "SELECT j.operation_id FROM jobs j JOIN php_pools p ON j.resource = 'php_pool:' || p.id AND j.generation = p.generation"
    for row in auditor.rows(world.database, f"{pools} WHERE j.state = 'failed'"):
        panel.request("POST", f"/operations/{row['operation_id']}/retry", {})


def calm(world, panel):
    if not settle(world):
        return
    # A site waits for its account, so what failed may need a turn per layer.
    for _ in range(3):
        try_again(world, panel)
        if not settle(world):
            return
    for sentence in auditor.look(world.database, world.host, AUDIT_S):
        world.violation(sentence)
    for mark, count in world.open_files().items():
        first = world.most_open.setdefault(mark, count)
        if count > 2 * first + 100:
            world.violation(f"{mark} has {count} files open, and had {first} after the first round")


def stable_sites(world, panel, owner):
    domains = []
    for number in range(3):
        user = f"calm{number}"
        panel.submit("/accounts", {"owner": owner, "user": user, "server": "", "domain": f"{user}.example", "php": "static" if number == 1 else PHP})
        domains.append(f"{user}.example")
    deadline = time.monotonic() + 60
    while not all(fetch(world.host.address, domain) == 200 for domain in domains):
        if time.monotonic() > deadline:
            raise SystemExit("the sites that nobody touches do not serve")
        time.sleep(0.2)
    return domains


def wait_for_panel(panel, what, holds):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if holds(panel.request("GET", "/servers")[2]):
                return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.3)
    raise SystemExit(f"not within a minute: {what}")


def chosen(every, names):
    """Those of the faults that are asked for; a name that none has is a mistake."""
    if not names:
        return every
    names = names.split(",")
    unknown = set(names) - {"quick"} - {fault.name for fault in every}
    if unknown:
        raise SystemExit(f"no such faults: {', '.join(sorted(unknown))}")
    return [fault for fault in every if fault.name in names or (fault.quick and "quick" in names)]


def strike(world, every, seed, number_of_round):
    """The faults of a round, one after another."""
    world.patience_s = SETTLE_S
    began = time.monotonic()
    stop = began + random.Random(f"{seed}/{number_of_round}").uniform(10, 25)
    for number in itertools.count():
        if time.monotonic() >= stop:
            break
        # Each has draws of its own, however many the one before it took.
        choose = random.Random(f"{seed}/{number_of_round}/{number}")
        time.sleep(choose.uniform(0.3, 3))
        fault = choose.choices(every, [fault.weight for fault in every])[0]
        log(fault.name)
        world.strikes.append({"fault": fault.name, "round": number_of_round, "number": number, "seconds": round(time.monotonic() - began, 1)})
        fault.strike(choose)


def end(actors):
    """They finish what they are at."""
    for actor in actors:
        actor.ended.set()
    for actor in actors:
        actor.join()


def main():
    parser = argparse.ArgumentParser()
    for name in ("--panel", "--host", "--lab", "--database", "--up", "--out"):
        parser.add_argument(name, required=True)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--actors", type=int, default=3)
    parser.add_argument("--faults", default="", help="only these, by name, with commas between them; quick: those that are over in seconds")
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(1_000_000)))
    arguments = parser.parse_args()
    log(f"seed {arguments.seed}, {arguments.seconds:.0f} s")

    world = World(arguments)
    panel = Panel(world.panel_address)
    panel.sign_in(os.environ["PASSWORD"])
    wait_for_panel(panel, "the server is online", lambda page: "is-live" in page)
    owner = world.owner = panel.client("chaos")
    prober = Prober(world.host.address, stable_sites(world, panel, owner))
    people = [panel.client(f"chaos{number}") for number in range(arguments.actors)]
    actors = [Actor(world, number, arguments.seed, person) for number, person in enumerate(people)]
    every = chosen(faults(world, prober), arguments.faults)
    deadline = time.monotonic() + arguments.seconds
    rounds = 0
    try:
        for actor in actors:
            actor.start()
        while time.monotonic() < deadline and not world.violations:
            rounds += 1
            strike(world, every, arguments.seed, rounds)
            end(actors)
            wait_for_panel(panel, "the panel answers", lambda page: "is-live" in page)
            calm(world, panel)
            for loss in prober.lost[:10]:
                world.violation(f"lost: {loss}")
            log(f"round {rounds}: {world.requests}, {prober.asked} asked, {len(prober.lost)} lost, {prober.late} late, "
                f"longest gap {prober.longest_gap_s * 1000:.0f} ms at {prober.longest_gap_at}")
            fresh = [Actor(world, actor.number, f"{arguments.seed}/{rounds}", actor.owner) for actor in actors]
            for actor, old in zip(fresh, actors):
                actor.made = old.made
                actor.start()
            actors = fresh
        end(actors)
        prober.stop()
    finally:
        summary = {
            "seed": arguments.seed, "rounds": rounds, "injected": Counter(each["fault"] for each in world.strikes), "requests": world.requests,
            "asked": prober.asked, "lost": len(prober.lost), "late": prober.late, "longest_gap_ms": round(prober.longest_gap_s * 1000),
            "open_files": world.most_open, "violations": world.violations, "strikes": world.strikes,
        }
        with open(arguments.out, "w") as out:
            json.dump(summary, out, indent=1)
    log(json.dumps({name: value for name, value in summary.items() if name != "strikes"}))
    if world.violations:
        log(f"{len(world.violations)} violations; again with SEED={arguments.seed}")
        raise SystemExit(1)
    print("\ntest result: ok. 1 passed; 0 failed; chaos", flush=True)


main()
