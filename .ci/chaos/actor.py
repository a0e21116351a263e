"""A person who works on accounts of their own, through the panel, whatever else happens."""

import base64
import contextlib
import hashlib
import http.client
import random
import struct
import threading
import time

import auditor
from jobs import PHP
from panel import Panel, words

# A queue that was paused goes on within so long: the panel comes back from any fault in less.
RESUME_S = 120
KEY_TYPE = b"ssh-ed25519"


class Actor(threading.Thread):
    """Does one thing after another until it is ended; what it does is up to the seed, and to what is there then."""

    # What is done, by the names of methods, and how often.
    ACTIONS = {
        "account": 4, "site": 6, "alias": 3, "kind": 3, "suspend_site": 3, "delete_site": 3, "delete_account": 1, "suspend_account": 1,
        "suspend_client": 1, "php": 4, "limits": 3, "password": 2, "add_key": 2, "remove_key": 1, "rollback": 3, "repair": 1, "pause_queue": 1,
    }
    # Of somebody who is suspended little is taken: they are soon let in again.
    SUSPENDED = ACTIONS | {"suspend_client": 15}

    def __init__(self, world, number, seed, owner):
        super().__init__(daemon=True)
        self.world, self.number, self.owner = world, number, owner
        self.random = random.Random(f"{seed}/{number}")
        self.made, self.accounts, self.sites, self.state = 0, [], [], ""
        self.ended = threading.Event()
        self.panel = Panel(world.panel_address)
        self.panel.sign_in_again()

    def run(self):
        while not self.ended.wait(self.random.uniform(0.05, 0.6)):
            try:
                self.act()
            except (OSError, http.client.HTTPException):
                # The panel was killed; its answer, and whether it took the request, is not known.
                self.world.requests["unanswered"] += 1
                time.sleep(0.3)
            except Exception as error:  # pylint: disable=broad-exception-caught
                # An actor who does nothing any more finds nothing.
                self.world.violation(f"actor {self.number} gave up: {error!r}")
                return

    def act(self):
        mine = f"chaos{self.number}x%"
        self.accounts = self.rows("SELECT id, linux_user, presence FROM accounts WHERE linux_user LIKE ?", mine)
        self.sites = self.rows(
            "SELECT s.id, s.domain, s.presence, s.php_version FROM sites s JOIN accounts a ON a.id = s.account_id WHERE a.linux_user LIKE ?",
            mine,
        )
        self.state = self.rows("SELECT state FROM users WHERE id = ?", self.owner)[0]["state"]
        self.made += 1
        actions = self.SUSPENDED if self.state == "suspended" else self.ACTIONS
        getattr(self, self.random.choices(list(actions), actions.values())[0])()

    def rows(self, sql, *values):
        return auditor.rows(self.world.database, sql, *values)

    def ask(self, path, fields, good=303):
        """Sends a form, and takes note of what became of it; the status."""
        status, location, text = self.panel.request("POST", path, fields)
        if status == 303 and location == "/sign-in":
            self.world.violation(f"the session of actor {self.number} was lost")
        elif status == good:
            self.world.requests["accepted"] += 1
        elif status in (404, 409, 422):
            self.world.requests["refused"] += 1
        elif status == 503 and self.world.database_is_locked.is_set():
            self.world.requests["unavailable"] += 1
        else:
            self.world.violation(f"{path} {fields} answered {status}: {words(text)[:300]}")
        return status

    def pick(self, of):
        """One of them; None if there is none."""
        return self.random.choice(of) if of else None

    def switch(self, path, presence):
        self.ask(f"{path}/{'unsuspend' if presence == 'suspended' else 'suspend'}", {})

    # ---------------------------------------------------------------------------------------------- accounts

    def account(self):
        if len(self.accounts) < 6:
            name = f"chaos{self.number}x{self.made}"
            domain = f"{name}.example" if self.random.random() < 0.7 else ""
            self.ask("/accounts", {"owner": self.owner, "user": name, "server": "", "domain": domain, "php": PHP})

    def suspend_account(self):
        if account := self.pick(self.accounts):
            self.switch(f"/accounts/{account['id']}", account["presence"])

    def delete_account(self):
        if len(self.accounts) > 3:
            account = self.pick(self.accounts)
            self.ask(f"/accounts/{account['id']}/delete", {"confirm": account["linux_user"]})

    def limits(self):
        """Room enough for PHP in any case; empty is no limit."""
        if account := self.pick(self.accounts):
            fields = {"cpu_percent": ["", "100", "350"], "memory_mib": ["", "1024", "3000"], "tasks": ["", "150", "400"]}
            self.ask(f"/accounts/{account['id']}/limits", {name: self.random.choice(values) for name, values in fields.items()})

    def php(self):
        """Other settings in each field, and one of the three ways in which children come and go."""
        if account := self.pick(self.accounts):
            choose = self.random.randint
            self.ask(f"/accounts/{account['id']}/php/{PHP}", {
                "memory_limit_mib": choose(64, 256), "max_execution_time_s": choose(10, 120), "max_input_time_s": choose(10, 120),
                "max_input_vars": choose(1000, 9000), "post_max_size_mib": choose(1, 128), "upload_max_filesize_mib": choose(1, 128),
                "pm": self.random.choice(["ondemand", "dynamic", "static"]), "max_children": choose(4, 6), "max_requests": choose(0, 500),
                "idle_timeout_s": choose(5, 600), "start_servers": 2, "min_spare": 1, "max_spare": choose(2, 4),
            })

    def password(self):
        """The answer is the page that shows it."""
        if account := self.pick(self.accounts):
            self.ask(f"/accounts/{account['id']}/sftp-password", {}, good=200)

    def add_key(self):
        if account := self.pick(self.accounts):
            parts = (KEY_TYPE, self.random.randbytes(32))
            blob = b"".join(struct.pack(">I", len(part)) + part for part in parts)
            key = f"{KEY_TYPE.decode()} {base64.b64encode(blob).decode()} actor{self.number}@chaos"
            self.ask(f"/accounts/{account['id']}/sftp-keys", {"key": key})

    def remove_key(self):
        mine = "SELECT k.account_id, k.public_key FROM account_keys k JOIN accounts a ON a.id = k.account_id WHERE a.linux_user LIKE ?"
        if key := self.pick(self.rows(mine, f"chaos{self.number}x%")):
            digest = hashlib.sha256(base64.b64decode(key["public_key"].split()[1])).digest()
            fingerprint = "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
            self.ask(f"/accounts/{key['account_id']}/sftp-keys/remove", {"fingerprint": fingerprint})

    def suspend_client(self):
        self.switch(f"/clients/{self.owner}", self.state)

    # ---------------------------------------------------------------------------------------------- sites

    def site(self):
        if self.accounts and len(self.sites) < 25:
            fields = {"domain": f"chaos{self.number}x{self.made}.example", "php": self.pick([PHP, "static"])}
            self.ask("/sites", {"account": self.pick(self.accounts)["id"], **fields})

    def edit(self, site, aliases, kind):
        self.ask(f"/sites/{site['id']}/edit", {"aliases": aliases, "php": kind, "document_root": site["domain"]})

    def alias(self):
        if site := self.pick(self.sites):
            aliases = self.pick(["", f"www.{site['domain']}", f"a.{site['domain']} b.{site['domain']}"])
            self.edit(site, aliases, site["php_version"] or "static")

    def kind(self):
        if site := self.pick(self.sites):
            self.edit(site, "", "static" if site["php_version"] else PHP)

    def rollback(self):
        """To any generation that is known, also the one that serves."""
        if site := self.pick(self.sites):
            if known := self.pick(self.rows("SELECT generation FROM site_configurations WHERE site_id = ?", site["id"])):
                self.ask(f"/sites/{site['id']}/rollback", {"generation": known["generation"]})

    def suspend_site(self):
        if site := self.pick(self.sites):
            self.switch(f"/sites/{site['id']}", site["presence"])

    def delete_site(self):
        if len(self.sites) > 4:
            site = self.pick(self.sites)
            self.ask(f"/sites/{site['id']}/delete", {"confirm": site["domain"]})

    # ---------------------------------------------------------------------------------------------- the server

    def server(self):
        return f"/servers/{self.rows('SELECT id FROM servers WHERE name = ?', self.world.host.name)[0]['id']}"

    def repair(self):
        """Has the host looked at, and all repaired that was found to have drifted so far."""
        self.ask(f"{self.server()}/drift/check", {})
        self.ask(f"{self.server()}/drift/repair", {})

    def pause_queue(self):
        """Nothing new is sent for some seconds. It goes on in any case, whatever becomes of the panel meanwhile."""
        queue = f"{self.server()}/queue"
        try:
            self.ask(f"{queue}/pause", {})
            time.sleep(self.random.uniform(0.5, 5))
        finally:
            deadline = time.monotonic() + RESUME_S
            # 409: another actor was quicker.
            while self.resumed(queue) not in (303, 409):
                if time.monotonic() > deadline:
                    self.world.violation("a queue that was paused does not go on")
                    break
                time.sleep(0.3)

    def resumed(self, queue):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.ask(f"{queue}/resume", {})
        return None
