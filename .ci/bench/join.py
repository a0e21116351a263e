#!/usr/bin/env python3
"""From the command that the panel shows for a new server, run on a fresh host, until the first PHP site on it answers.

The host's packages are in place already, as an image of a provider has them: what is measured is the worker's package, joining,
preparing the host, and the first account with its site. Beside it is the floor of the same run: on another fresh host the same
package installed by dpkg, and a site set up by a script (floor.sh).
"""

import argparse
import html
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from common import Figures, median, serves, until  # noqa: E402
from panel import Panel  # noqa: E402

NAME, FLOOR = "joinfresh", "joinfloor"


class Joiner:
    def __init__(self, arguments):
        self.lab, self.panel = arguments.lab, Panel(arguments.panel)
        self.panel.sign_in(os.environ["PASSWORD"])
        self.owner = self.panel.client("joiner")

    def ask(self, verb, host, *rest, **options):
        return subprocess.run([self.lab, verb, host, *rest], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, **options).stdout

    def ours(self, number):
        """Seconds of one fresh host."""
        self.ask("up", NAME)
        address = self.ask("address", NAME).strip()
        fields = {"name": NAME, "hostname": f"{NAME}.example.org", "address": address, "role_web": "on", "active": "on"}
        page = self.panel.submit("/servers", fields, 200)[2]
        # Beside the command is how to get curl.
        commands = (html.unescape(found) for found in re.findall(r"<code[^>]*>(.*?)</code>", page, re.S))
        command = next(found for found in commands if "https://" in found)
        server = re.search(r'/servers/([0-9a-f-]{36})"', self.panel.request("GET", f"/servers?q={NAME}")[2]).group(1)
        began = time.monotonic()
        self.ask("exec", NAME, "sh", "-c", command, stderr=subprocess.DEVNULL)
        user, domain = f"join{number}", f"join{number}.example.com"
        fields = {"owner": self.owner, "user": user, "server": server, "domain": domain, "php": "8.2"}
        # Asked for as soon as the panel takes it: the worker has told which PHP it has.
        until(lambda: self.panel.request("POST", "/accounts", fields)[0] == 303, "the account is taken", 0.1)
        until(lambda: serves(address, domain), f"{domain} serves")
        took = time.monotonic() - began
        account = re.search(r'/accounts/([0-9a-f-]{36})"', self.panel.request("GET", f"/accounts?q={user}")[2]).group(1)
        until(lambda: self.panel.request("POST", f"/accounts/{account}/delete", {"confirm": user})[0] == 303, "the account goes", 0.1)
        until(lambda: self.panel.request("GET", f"/accounts/{account}")[0] == 404, "the account is gone", 0.1)
        self.panel.submit(f"/servers/{server}/delete", {"confirm": NAME})
        self.ask("remove", NAME)
        return took

    def floor(self, number, package, script):
        self.ask("up", FLOOR)
        address = self.ask("address", FLOOR).strip()
        self.ask("put", FLOOR, package, "/root/gantry-worker.deb")
        self.ask("put", FLOOR, script, "/root/floor.sh", "0755")
        domain = f"floor{number}.com"
        # What the worker's preparation would have made, and floor.sh relies on.
        prepared = (
            "mkdir -p /etc/gantry-worker/php /run/gantry-php /etc/systemd/system/sockets.target.wants; "
            "printf '[Socket]\\nListenStream=/run/gantry-php/%%i-8.2.sock\\nSocketUser=www-data\\nAccept=no\\n' "
            "> /etc/systemd/system/gantry-php8.2@.socket; "
            "printf '[Service]\\nUser=%%i\\nExecStart=/usr/sbin/php-fpm8.2 --fpm-config /etc/gantry-worker/php/%%i-8.2.conf\\n"
            "Environment=FPM_SOCKETS=/run/gantry-php/%%i-8.2.sock=3\\n' > /etc/systemd/system/gantry-php8.2@.service; systemctl daemon-reload"
        )
        self.ask("exec", FLOOR, "sh", "-c", prepared)
        began = time.monotonic()
        self.ask("exec", FLOOR, "sh", "-c", f"dpkg --install /root/gantry-worker.deb && echo add floor{number} 600001 {domain} | /root/floor.sh", stderr=subprocess.DEVNULL)
        until(lambda: serves(address, domain), f"{domain} serves")
        took = time.monotonic() - began
        self.ask("remove", FLOOR)
        return took


def main():
    parser = argparse.ArgumentParser()
    for name in ("--panel", "--out", "--package", "--script", "--lab"):
        parser.add_argument(name, required=True)
    parser.add_argument("--samples", type=int, default=3)
    arguments = parser.parse_args()
    joiner, figures = Joiner(arguments), Figures(arguments.out)
    ours, floors = [], []
    for number in range(arguments.samples):
        ours.append(joiner.ours(number))
        floors.append(joiner.floor(number, arguments.package, arguments.script))
    print(f"{len(ours)} samples: {min(ours):.1f} to {max(ours):.1f} s, floor {min(floors):.1f} to {max(floors):.1f} s", flush=True)
    figures.figure("join.command_to_first_site_s", median(ours), "s", median(floors), (lambda seconds: seconds <= 120, "at most 120"))


main()
