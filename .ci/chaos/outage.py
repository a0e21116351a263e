#!/usr/bin/env python3
"""A host that is cut off from the bus for long, in silence, while requests for it wait: its sites serve all the while, and what
waited is worked off when the way is free again.

Its packets to the bus are dropped on the host itself, so that its sites can be asked.
"""

import argparse
import json
import os
import sys
import time

CHAOS = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(CHAOS, ".."), CHAOS]
import auditor  # noqa: E402
from jobs import PHP  # noqa: E402
from panel import Panel  # noqa: E402
from prober import Prober  # noqa: E402

BUS_PORT = 4222
ACCOUNTS = 8
PATIENCE_S = 120
# What the worker has after its last outcome, for acknowledgements and the trash.
AUDIT_S = 30
# What a host has to work off what waited for it.
AIM_S = 60


def log(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def until(what, holds, patience_s=PATIENCE_S):
    """The seconds until it holds."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > patience_s:
            raise SystemExit(f"not within {patience_s} s: {what}")
        time.sleep(0.1)
    return time.monotonic() - began


def main():
    parser = argparse.ArgumentParser()
    for name in ("--panel", "--host", "--lab", "--database", "--out"):
        parser.add_argument(name, required=True)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--jobs", type=int, default=200)
    arguments = parser.parse_args()
    host, panel = auditor.Host(arguments.host, arguments.lab), Panel(arguments.panel)
    panel.sign_in(os.environ["PASSWORD"])
    # The panel ends a session that nobody uses for long.
    online = lambda: "is-live" in panel.request("GET", "/servers")[2]
    count = lambda where: auditor.rows(arguments.database, f"SELECT COUNT(*) FROM {where}")[0][0]
    under_way = lambda: count(f"jobs WHERE state IN {auditor.UNDER_WAY}")
    until("the server is online", online)
    owner = panel.client("outage")
    for number in range(ACCOUNTS):
        fields = {"owner": owner, "user": f"outage{number}", "server": "", "domain": f"outage{number}.example", "php": PHP}
        panel.submit("/accounts", fields)
    until("the accounts and their sites are there", lambda: not under_way())
    accounts = [row["id"] for row in auditor.rows(arguments.database, "SELECT id FROM accounts")]

    prober = Prober(host.address, [f"outage{number}.example" for number in range(ACCOUNTS)])
    for rule in ("add table inet away", "add chain inet away out { type filter hook output priority -10; }",
                 f"add rule inet away out tcp dport {BUS_PORT} drop"):
        host.run("nft", rule)
    cut = time.monotonic()
    log("cut off")
    shown = until("the panel says that it is offline", lambda: not online())
    for number in range(arguments.jobs):
        kind = "static" if number % 2 else PHP
        panel.submit("/sites", {"account": accounts[number % ACCOUNTS], "domain": f"waits{number}.example", "php": kind})
    log(f"shown offline after {shown:.0f} s, {under_way()} jobs wait")
    while (left := arguments.seconds - (time.monotonic() - cut)) > 0:
        time.sleep(min(left, 60))
        online()
    waiting = under_way()
    log(f"{time.monotonic() - cut:.0f} s later {waiting} jobs wait; {prober.asked} asked, {len(prober.lost)} lost, {prober.late} late")

    host.run("nft", "delete table inet away")
    healed = time.monotonic()
    until("the server is online", online)
    back = time.monotonic() - healed
    until("what waited is done", lambda: not under_way(), 10 * AIM_S)
    done = time.monotonic() - healed
    prober.stop()
    found = auditor.look(arguments.database, host, AUDIT_S) + [f"lost: {loss}" for loss in prober.lost]
    if waiting < arguments.jobs:
        found.append(f"only {waiting} of {arguments.jobs} jobs waited")
    summary = {"outage_s": round(healed - cut), "jobs": waiting, "online_s": round(back, 1), "done_s": round(done, 1), "aim_s": AIM_S,
               "asked": prober.asked, "lost": len(prober.lost), "late": prober.late, "violations": found}
    with open(arguments.out, "w") as out:
        json.dump(summary, out, indent=1)
    log(json.dumps(summary))
    if done > AIM_S:
        log(f"missed: it should be done within {AIM_S} s")
    if found:
        raise SystemExit("\n".join(f"VIOLATION {sentence}" for sentence in found))
    print("\ntest result: ok. 1 passed; 0 failed; outage", flush=True)


main()
