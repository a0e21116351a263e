#!/usr/bin/env python3
"""A look for drift that finds nothing: everything applied is planned again from the facts of the host.

Sites are spread evenly over the accounts, each with a PHP pool. Beside the time is the floor of the same run: a script on the same
host (reconcile-floor.pl) that looks at the same files and folders, and compares what they hold with what it remembers. A prober asks
two of the sites on fresh connections all the while.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from batch import Bench, Host  # noqa: E402
from common import Laps, median, serves, until  # noqa: E402

# How often a worker looks, in seconds.
PERIOD = 300


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--sites", type=int, default=1000)
    parser.add_argument("--accounts", type=int, default=100)
    parser.add_argument("lab", nargs=2)
    arguments = parser.parse_args()
    total, owners = arguments.sites, arguments.accounts
    print(f"{total} sites of {owners} accounts", flush=True)
    bench = Bench(Host(*arguments.lab), arguments.out)
    made, pools = bench.accounts(range(owners))
    bench.host.apply(made, pools, [bench.jobs.site(number, number % owners) for number in range(total)])

    address, asked = bench.host.address(), [bench.jobs.domain(number) for number in range(2)]
    # Their PHP is awake.
    until(lambda: all(serves(address, domain) for domain in asked), f"{asked} serve")
    bench.prober = Laps(address, asked)
    floors = [float(line) for line in bench.host.run("/root/reconcile-floor.pl", str(arguments.samples)).split()]
    bench.prober.lap()
    printed = bench.host.run("/usr/bin/gantry-worker", "look", "--database", "/root/bench.db", "--times", str(arguments.samples))
    look = json.loads(printed)
    print(f"{look['resources']} resources, {look['drifted']} drifted, {look['programs']} programs started", flush=True)
    if look["drifted"] or look["resources"] != total + 2 * owners:
        raise SystemExit("a look at what was just applied found drift, or not everything")
    aim = (lambda ms: ms <= 1000, "at most 1000 ms") if total == 1000 else None
    bench.figure(f"reconcile.noop_{total}", median(look["ms"]), "ms", median(floors), aim)
    bench.figure("reconcile.programs", look["programs"], "programs", aim=(lambda programs: programs == 0, "0"))
    cpu = 100 * look["cpu_ms"] / 1000 / PERIOD
    bench.figure("drift.cpu_percent", cpu, "percent of a processor", aim=(lambda percent: percent <= 1, "at most 1"))
    bench.disturbed(f"reconcile.noop_{total}")
    bench.prober.stop()


main()
