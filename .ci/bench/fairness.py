#!/usr/bin/env python3
"""How long one account's change waits while another account floods the same server and its PHP does not answer.

Signs in as the admin, as a browser without JavaScript would. The calm account asks for one site after another; each is timed from
the form's answer until its operation is over, as the operation's own record says. First with nothing else going on, which is the
floor of the same run; then while a loud account has as many sites under way as it may, and a slow one a site whose PHP takes
15 s to start. A prober asks two sites of somebody else on fresh connections all the while.
"""

import argparse
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from common import Figures, Laps, rank, serves, until  # noqa: E402
from panel import Panel  # noqa: E402

# PHP of one account, as a script that is preloaded for long makes it.
SLOW_PHP = """mkdir -p /etc/systemd/system/gantry-php8.2@slowuser.service.d
printf '[Service]\\nExecStartPre=/bin/sleep 15\\n' > /etc/systemd/system/gantry-php8.2@slowuser.service.d/slow.conf
systemctl daemon-reload"""
AIM_MS = 2000


class Asker(Panel):
    """What is measured."""

    def account(self, owner, user):
        """The account's id, once it is there."""
        path = self.submit("/accounts", {"owner": owner, "user": user})[1]
        until(lambda: "Active" in self.request("GET", path)[2], f"{path} is active")
        return path.rsplit("/", 1)[1]

    def site(self, account, domain, php="8.2"):
        """The operation that makes a site."""
        path = self.submit("/sites", {"account": account, "domain": domain, "php": php})[1]
        page = self.request("GET", path)[2]
        return re.search(r"/operations/([0-9a-f-]{36})", page).group(1)

    def record(self, operation):
        return json.loads(self.request("GET", f"/operations/{operation}/record.json")[2])

    def took_ms(self, operation):
        """From the request to the outcome."""
        until(lambda: self.record(operation)["finished_ms"], f"{operation} is over")
        record = self.record(operation)
        if record["state"] != "succeeded":
            raise SystemExit(f"{record['subject']}: {record['state']}")
        return record["finished_ms"] - record["created_ms"]


def main():
    parser = argparse.ArgumentParser()
    for name in ("--panel", "--out"):
        parser.add_argument(name, required=True)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--flood", type=int, default=200)
    parser.add_argument("lab", nargs=2)
    arguments = parser.parse_args()
    panel = Asker(arguments.panel)
    panel.sign_in(os.environ["PASSWORD"])
    until(lambda: "is-live" in panel.request("GET", "/servers")[2], "the server is online")
    calm, loud, slow, other = (panel.account(panel.client(name), name) for name in ("calmuser", "louduser", "slowuser", "otheruser"))
    lab, host = arguments.lab
    address = subprocess.run([lab, "address", host], check=True, capture_output=True, text=True).stdout.strip()
    others = ["static.other-example.com", "php.other-example.com"]
    for domain, php in zip(others, ("static", "8.2")):
        panel.took_ms(panel.site(other, domain, php))
        until(lambda: serves(address, domain), f"{domain} serves")
    prober = Laps(address, others)
    subprocess.run([lab, "exec", host, "sh", "-c", SLOW_PHP], check=True)

    # The first one after a start finds everything cold.
    panel.took_ms(panel.site(calm, "cold.calm-example.com", php=""))
    idle = [panel.took_ms(panel.site(calm, f"idle{number}.calm-example.com", php="")) for number in range(arguments.samples)]
    prober.lap()
    flood = [panel.site(loud, f"flood{number}.loud-example.com") for number in range(min(arguments.flood, 200))]
    busy, asked, starting = [], 0, None
    for number in range(arguments.samples):
        if starting is None or panel.record(starting)["finished_ms"]:
            starting = panel.site(slow, f"slow{number}.slow-example.com")
        busy.append(panel.took_ms(panel.site(calm, f"busy{number}.calm-example.com", php="")))
        # The flood goes on for as long as it is measured.
        while asked < arguments.samples and panel.record(flood[asked % len(flood)])["finished_ms"]:
            panel.site(loud, f"more{asked}.loud-example.com")
            asked += 1
            if asked % 4 == 0:
                break
    print(f"{len(busy)} samples: {min(busy)} to {max(busy)} ms, alone {min(idle)} to {max(idle)} ms", flush=True)
    part, name = (0.99, "p99") if len(busy) >= 100 else (0.5, "p50")
    value, floor = rank(busy, part), rank(idle, part)
    aim = (lambda ms: ms - floor <= AIM_MS, f"at most {AIM_MS} ms above the floor")
    figures = Figures(arguments.out)
    figures.figure(f"fairness.wait_{name}_ms", value, "ms", floor, aim)
    print(f"{'met' if value <= AIM_MS else 'missed'}: {value} ms in all, which should be at most {AIM_MS} ms", flush=True)
    figures.noticed("fairness", prober)
    prober.stop()


main()
