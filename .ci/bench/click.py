#!/usr/bin/env python3
"""From click to serving: from sending the form for an account with a PHP site until PHP answers 200 through nginx.

Signs in as the admin, as a browser without JavaScript would, and asks the host's own address for the site every 2 ms. A sample of
the panel and a sample of the floor (a script on the same host, see floor.sh) take turns, and each is removed before the next, so
that the number of other sites stays what the figure's name says. p50 and p99 of the same rank are compared.
"""

import argparse
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from common import Figures, rank, serves, until  # noqa: E402
from panel import Panel  # noqa: E402

POLL_S = 0.002
# The panel may take this many times the floor: it is durable, signed, staged, validated and probed; the floor is none of it.
AIM = 2.0


class Clicker(Panel):
    """What is measured."""

    def account_with_site(self, owner, user, domain):
        fields = {"owner": owner, "user": user, "server": "", "domain": domain, "php": "8.2"}
        return self.submit("/accounts", fields)[1]

    def delete(self, path, user):
        self.submit(f"{path}/delete", {"confirm": user})
        until(lambda: self.request("GET", path)[0] == 404, f"{path} is gone", 0.02)


class Floor:
    """The script on the host."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def tell(self, verb, number):
        self.process.stdin.write(f"{verb} floor{number} {600000 + number} floor{number}.com\n")

    def heard(self):
        if self.process.stdout.readline() != "done\n":
            raise SystemExit("the floor's script failed")


def measure(panel, floor, owner, host, samples, first):
    """Milliseconds of each sample: the panel's, the floor's."""
    ours, floors = [], []
    for number in range(first, first + samples):
        user, domain = f"click{number}", f"click{number}.com"
        began = time.monotonic()
        path = panel.account_with_site(owner, user, domain)
        until(lambda: serves(host, domain, "/index.php"), f"{domain} serves", POLL_S)
        ours.append((time.monotonic() - began) * 1000)
        panel.delete(path, user)

        began = time.monotonic()
        floor.tell("add", number)
        until(lambda: serves(host, f"floor{number}.com", "/index.php"), f"floor{number}.com serves", POLL_S)
        floors.append((time.monotonic() - began) * 1000)
        floor.heard()
        floor.tell("remove", number)
        floor.heard()
    return ours, floors


def main():
    parser = argparse.ArgumentParser()
    for name in ("--panel", "--host", "--out"):
        parser.add_argument(name, required=True)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--sizes", default="0,100")
    parser.add_argument("floor", nargs="+")
    arguments = parser.parse_args()

    panel = Clicker(arguments.panel)
    panel.sign_in(os.environ["PASSWORD"])
    owner = panel.client("clicker")
    until(lambda: "is-live" in panel.request("GET", "/servers")[2], "the server is online", 0.2)
    floor = Floor(arguments.floor)
    figures, there = Figures(arguments.out), 0
    for size in map(int, arguments.sizes.split(",")):
        began = time.monotonic()
        for number in range(there, size):
            panel.account_with_site(owner, f"other{number}", f"other{number}.com")
        for number in range(there, size):
            until(lambda: serves(arguments.host, f"other{number}.com", "/index.php"), f"other{number}.com serves", 0.05)
        if size > there:
            print(f"{size - there} sites asked for at once served after {time.monotonic() - began:.1f} s", flush=True)
        there = size
        # The first one after a start finds everything cold.
        measure(panel, floor, owner, arguments.host, 1, 10000 + size)
        ours, floors = measure(panel, floor, owner, arguments.host, arguments.samples, 20000 + size * 100)
        print(f"{len(ours)} samples: {min(ours):.0f} to {max(ours):.0f} ms, floor {min(floors):.0f} to {max(floors):.0f} ms", flush=True)
        for name, part in (("p50", 0.5), ("p99", 0.99)):
            if part == 0.99 and len(ours) < 100:
                print(f"skipped: {name}.sites_{size}: it needs 100 samples")
                continue
            value, bare = rank(ours, part), rank(floors, part)
            aim = (lambda ms, most=AIM * bare: ms <= most, f"at most {AIM} times the floor")
            figures.figure(f"click_to_serving.{name}.sites_{size}", value, "ms", bare, aim)


main()
