"""Compares what the panel's database says with what is on a host, by reading both: it shares no code with the worker.

Everything it finds is a sentence; no sentence means that nothing is missing, left over, or other than wanted. As a program it
prints them, and fails if there are any.
"""

import argparse
import json
import os
import re
import sqlite3
import stat
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from site_answer import fetch  # noqa: E402

FIRST_UID, LAST_UID = 200_000, 9_999_999
MARK = b"# Made by Gantry"
# Where a slice says what of an account's row, and in which unit.
LIMITS = {"CPUQuota": ("cpu_percent", "%"), "MemoryMax": ("memory_mib", "M"), "TasksMax": ("tasks", "")}
# In a list of rights: entries of users by number, and the most that these give.
USER, MASK = 0x02, 0x10
READ, ENTER = 4, 1


class Host:
    """A managed host's files, seen through its init's root."""

    def __init__(self, name, lab):
        self.name, self.lab, self.init = name, lab, ""
        self.address = self.ask("address").strip()

    def ask(self, verb, *arguments):
        done = subprocess.run([self.lab, verb, self.name, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        return done.stdout if done.returncode == 0 else ""

    def run(self, *command):
        """Exit status and output of a command on the host."""
        done = subprocess.run([self.lab, "exec", self.name, *command], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout + done.stderr

    def path(self, *parts):
        """A path on the host, as opened from here."""
        if not self.init or not os.path.isdir(f"/proc/{self.init}/root/etc"):
            self.init = self.ask("init").strip()
        return os.path.join(f"/proc/{self.init}/root", *(part.lstrip("/") for part in parts))

    def read(self, path):
        with open(self.path(path), "rb") as file:
            return file.read()

    def names(self, path):
        try:
            return sorted(os.listdir(self.path(path)))
        except FileNotFoundError:
            return []

    def lstat(self, path):
        try:
            return os.lstat(self.path(path))
        except FileNotFoundError:
            return None


def rows(database, sql, *values):
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30) as connection:
        connection.row_factory = sqlite3.Row
        return connection.execute(sql, values).fetchall()


def wanted(database, server):
    """The accounts, sites and pools that should be on a server, with the sites' names and the accounts' keys."""
    accounts = rows(
        database,
        # An account goes with its client, who is not written into it.
        "SELECT a.id, a.linux_user, a.uid, a.sftp_password_hash, a.cpu_percent, a.memory_mib, a.tasks, "
        "CASE WHEN a.presence = 'active' THEN u.state ELSE a.presence END AS presence FROM accounts a JOIN users u ON u.id = a.owner_id "
        "JOIN account_servers s ON s.account_id = a.id JOIN servers v ON v.id = s.server_id WHERE v.name = ?",
        server,
    )
    ids = {account["id"]: account for account in accounts}
    sites = [site for site in rows(database, "SELECT * FROM sites") if site["account_id"] in ids]
    names = {}
    for name in rows(database, "SELECT site_id, name FROM site_names ORDER BY position"):
        names.setdefault(name["site_id"], []).append(name["name"])
    pools = [pool for pool in rows(database, "SELECT * FROM php_pools") if pool["account_id"] in ids]
    keys = {}
    for key in rows(database, "SELECT account_id, public_key FROM account_keys"):
        keys.setdefault(key["account_id"], []).append(key["public_key"])
    return ids, sites, names, pools, keys


UNDER_WAY = "('queued', 'sent', 'working', 'blocked')"


def audit(database, host):
    """Every difference between a panel's database and a host, once nothing is under way."""
    worker = os.path.join(host.ask("root").strip(), "var/lib/gantry-worker/worker.db")
    return panel(database) + audit_host(host, wanted(database, host.name), worker, ("journal", "settled", "inbox", "outbox"))


def look(database, host, seconds):
    """What an audit finds that began when all that is under way has had its time."""
    deadline, looks = time.monotonic() + seconds, 0
    while True:
        began, looks = time.monotonic(), looks + 1
        found = audit(database, host)
        if not found or (began > deadline and looks > 1):
            return found
        time.sleep(0.5)


def audit_host(host, wants, worker, tables):
    """Every difference between a host and what is wanted there; and rows in tables of its worker's database that should be empty."""
    accounts, sites, names, pools, keys = wants
    found = []
    found += people(host, accounts)
    found += files_of_accounts(host, accounts, pools, keys)
    found += limits(host, accounts)
    found += homes(host, accounts)
    found += web_server(host, accounts, sites)
    found += vhosts(host, accounts, sites, names)
    found += php(host, accounts, sites, pools)
    found += settings(host, accounts, pools)
    found += leftovers(host, worker, tables)
    found += answers(host, accounts, sites, names)
    return found


def panel(database):
    found = []
    for row in rows(database, "PRAGMA integrity_check"):
        if row[0] != "ok":
            found.append(f"the panel's database is damaged: {row[0]}")
    for job in rows(database, f"SELECT id, resource, state FROM jobs WHERE state IN {UNDER_WAY}"):
        found.append(f"job {job['id']} of {job['resource']} is still {job['state']}")
    for table in ("accounts", "sites"):
        for row in rows(database, f"SELECT * FROM {table}"):
            name = row["linux_user"] if table == "accounts" else row["domain"]
            if row["state"] not in ("active", "suspended"):
                found.append(f"{name} is {row['state']}")
            if row["applied_generation"] != row["wanted_generation"]:
                found.append(f"{name} wants generation {row['wanted_generation']}, and {row['applied_generation']} is applied")
    for row in rows(database, "SELECT * FROM php_pools WHERE applied_generation <> wanted_generation"):
        found.append(f"PHP {row['version']} of {row['account_id']} wants {row['wanted_generation']}, and {row['applied_generation']} is applied")
    lines = "(SELECT COUNT(*) FROM audit a WHERE a.detail = o.id AND a.action = o.kind AND a.subject = o.subject)"
    # A rollout has one line, whose updates have none; that of a single one names the server alone.
    wrong = f"{lines} <> 1 AND o.kind <> 'worker.update'"
    for row in rows(database, f"SELECT o.kind, o.subject, {lines} AS lines FROM operations o WHERE {wrong}"):
        found.append(f"{row['kind']} of {row['subject']} has {row['lines']} lines in the audit log")
    for row in rows(database, "SELECT id, kind, state FROM operations WHERE state IN ('waiting', 'working')"):
        found.append(f"the operation {row['kind']} {row['id']} is still {row['state']}")
    return found


def people(host, accounts):
    found = []
    passwd = [line.split(":") for line in host.read("/etc/passwd").decode().splitlines()]
    groups = {line.split(":")[0]: line.split(":") for line in host.read("/etc/group").decode().splitlines()}
    shadow = {line.split(":")[0]: line.split(":") for line in host.read("/etc/shadow").decode().splitlines()}
    ours = {entry[0]: entry for entry in passwd if FIRST_UID <= int(entry[2]) <= LAST_UID}
    wanted_users = {account["linux_user"]: account for account in accounts.values()}
    for user in sorted(set(ours) - set(wanted_users)):
        found.append(f"user {user} is on the host and in no account")
    for user, account in wanted_users.items():
        entry = ours.get(user)
        if entry is None:
            found.append(f"user {user} is missing")
            continue
        if (int(entry[2]), int(entry[3])) != (account["uid"], account["uid"]):
            found.append(f"user {user} has uid {entry[2]} and gid {entry[3]}, not {account['uid']}")
        if groups.get(user, [None, None, None, "x"])[2:] != [str(account["uid"]), ""]:
            found.append(f"the group of {user} is {groups.get(user)}")
        if user not in shadow:
            found.append(f"user {user} has no shadow entry")
            continue
        if (shadow[user][7] == "1") != (account["presence"] == "suspended"):
            found.append(f"user {user} is {account['presence']} and expires on day {shadow[user][7]!r}")
        password = account["sftp_password_hash"]
        if password is None and not shadow[user][1].startswith(("!", "*")):
            found.append(f"user {user} has a password that nobody has set")
        if password not in (None, shadow[user][1]):
            found.append(f"user {user} has not the password that was set")
    for group, entry in groups.items():
        if FIRST_UID <= int(entry[2]) <= LAST_UID and group not in wanted_users:
            found.append(f"group {group} belongs to no account")
    for user in sorted(set(shadow) - {entry[0] for entry in passwd}):
        found.append(f"{user} is in the shadow file and no user")
    secrets = {line.split(":")[0] for line in host.read("/etc/gshadow").decode().splitlines()}
    for group in sorted(secrets - set(groups)):
        found.append(f"{group} is in the gshadow file and no group")
    if len({entry[2] for entry in ours.values()}) != len(ours):
        found.append("two users share a uid")
    return found


def homes(host, accounts):
    found = []
    wanted_users = {account["linux_user"]: account["uid"] for account in accounts.values()}
    for name in host.names("/home"):
        if name not in wanted_users and not name.startswith("."):
            found.append(f"/home/{name} belongs to no account")
    for user, uid in wanted_users.items():
        for part, owner, mode in (("", 0, 0o750), ("htdocs", 0, 0o750), ("home", uid, None), ("tmp", uid, 0o700), ("logs", 0, None)):
            path = os.path.join("/home", user, part)
            status = host.lstat(path)
            if status is None or not stat.S_ISDIR(status.st_mode):
                found.append(f"{path} is no directory")
                continue
            if status.st_uid != owner:
                found.append(f"{path} belongs to uid {status.st_uid}, not {owner}")
            if mode is not None and status.st_mode & 0o7707 != mode & 0o7707:
                found.append(f"{path} has mode {status.st_mode & 0o7777:o}")
            if status.st_mode & 0o007:
                found.append(f"{path} is open to everybody: {status.st_mode & 0o7777:o}")
    # One line each; a name with a line break in it is somebody's joke, and its second line no entry.
    _, listed = host.run("find", "/home", "-xdev", "-mindepth", "2", "-printf", "%U %m %y /%P\\n")
    for line in listed.splitlines():
        match = re.fullmatch(r"(\d+) (\d+) (.) /([a-z0-9]+)/(.*)", line)
        if not match or match[4] not in wanted_users:
            continue
        if int(match[1]) not in (0, wanted_users[match[4]]):
            found.append(f"/home/{match[4]}/{match[5]} belongs to uid {match[1]}")
        if match[3] == "f" and int(match[2], 8) & 0o6000:
            found.append(f"/home/{match[4]}/{match[5]} has mode {match[2]}")
    return found


def rights(host, path, kind):
    """What a directory's list, `access` or `default`, gives to users by number."""
    try:
        listed = os.getxattr(host.path(path), f"system.posix_acl_{kind}", follow_symlinks=False)
    except OSError:
        return {}
    entries = list(struct.iter_unpack("<HHI", listed[4:]))
    most = next((given for tag, given, _ in entries if tag == MASK), 7)
    return {number: given & most for tag, given, number in entries if tag == USER}


def web_server(host, accounts, sites):
    """The web server gets through each cell, and reads document roots and what is made there later."""
    found = []
    web = next(int(line.split(":")[2]) for line in host.read("/etc/passwd").decode().splitlines() if line.startswith("www-data:"))
    for account in accounts.values():
        for part in ("", "htdocs", "logs"):
            path = os.path.join("/home", account["linux_user"], part)
            if rights(host, path, "access").get(web) != ENTER:
                found.append(f"the web server has other rights to {path} than to get through: {rights(host, path, 'access')}")
    for site in sites:
        # What lies below the top is the tenant's own affair.
        path = os.path.join("/home", accounts[site["account_id"]]["linux_user"], "htdocs", site["document_root"].split("/")[0])
        for kind in ("access", "default"):
            if rights(host, path, kind).get(web, 0) & (READ | ENTER) != READ | ENTER:
                found.append(f"the web server cannot read {path} of {site['domain']}: its {kind} list is {rights(host, path, kind)}")
    return found


def limits(host, accounts):
    """Each slice has the limits of its account."""
    found = []
    for account in accounts.values():
        path = f"/etc/systemd/system/gantry-{account['linux_user']}.slice"
        if host.lstat(path) is None:
            continue
        has = sorted(line for line in host.read(path).decode().splitlines() if line.split("=")[0] in LIMITS)
        wants = sorted(f"{key}={account[column]}{unit}" for key, (column, unit) in LIMITS.items() if account[column] is not None)
        if has != wants:
            found.append(f"the slice of {account['linux_user']} says {has}, not {wants}")
    return found


def files_of_accounts(host, accounts, pools, keys):
    """What an account has outside of its home: its keys, its slice, and what its vhosts take over from its pools."""
    found = []
    users = {account["linux_user"]: account for account in accounts.values()}

    def compare(what, there, expected):
        found.extend(f"{what} {name} belongs to nobody" for name in sorted(set(there) - set(expected)))
        found.extend(f"{what} {name} is missing" for name in sorted(set(expected) - set(there)))

    slices = [name[7:-6] for name in host.names("/etc/systemd/system") if re.fullmatch(r"gantry-[a-z0-9]+\.slice", name)]
    compare("the slice of", slices, users)
    versions = {f"{accounts[pool['account_id']]['linux_user']}-{pool['version']}.conf" for pool in pools}
    compare("the pool's part for nginx", host.names("/etc/nginx/gantry"), versions)
    compare("the keys of", host.names("/etc/gantry-worker/keys"), {accounts[account]["linux_user"] for account in keys if account in accounts})
    for account, wants in keys.items():
        if account not in accounts:
            continue
        path, uid = f"/etc/gantry-worker/keys/{accounts[account]['linux_user']}", accounts[account]["uid"]
        status = host.lstat(path)
        if status is None:
            continue
        has = {line.split("ssh-", 1)[-1].split()[1] for line in host.read(path).decode().splitlines() if "ssh-" in line}
        if has != {key.split()[1] for key in wants}:
            found.append(f"{path} holds {len(has)} keys, and not those {len(wants)} that are wanted")
        if (status.st_uid, status.st_gid, status.st_mode & 0o777) != (0, uid, 0o640):
            found.append(f"{path} is of {status.st_uid}:{status.st_gid} and {status.st_mode & 0o777:o}")
    return found


def vhosts(host, accounts, sites, names):
    found = []
    available, enabled = set(host.names("/etc/nginx/sites-available")), set(host.names("/etc/nginx/sites-enabled"))
    ours = {name for name in available if name.endswith(".conf") and host.read(f"/etc/nginx/sites-available/{name}").startswith(MARK)}
    expected = {f"{site['domain']}.conf": site for site in sites if len(site["domain"]) <= 190}
    answered_by = {}
    for name in sorted(ours - set(expected)):
        text = host.read(f"/etc/nginx/sites-available/{name}").decode()
        if re.search(r"server_name\s+[^_;]", text):
            found.append(f"vhost {name} belongs to no site")
    for name, site in expected.items():
        if name not in ours:
            found.append(f"the vhost of {site['domain']} is missing")
            continue
        text = host.read(f"/etc/nginx/sites-available/{name}").decode()
        served = set(" ".join(re.findall(r"server_name\s+([^;]+);", text)).split())
        if served != set(names[site["id"]]):
            found.append(f"{site['domain']} answers {sorted(served)}, not {sorted(names[site['id']])}")
        for one in served:
            if answered_by.setdefault(one, name) != name:
                found.append(f"{one} is answered by {name} and {answered_by[one]}")
        link = host.path("/etc/nginx/sites-enabled", name)
        if name not in enabled or not os.path.islink(link) or os.readlink(link) != f"../sites-available/{name}":
            found.append(f"{site['domain']} is not linked")
        user = accounts[site["account_id"]]["linux_user"]
        roots = set(re.findall(r"/home/([a-z0-9]+)/", text))
        if roots - {user}:
            found.append(f"the vhost of {site['domain']} names the homes of {sorted(roots)}")
        if not is_suspended(site, accounts):
            root = f"root /home/{user}/htdocs/{site['document_root']};"
            if root not in text:
                found.append(f"the vhost of {site['domain']} lacks {root}")
            socket = f"/run/gantry-php/{user}-{site['php_version']}.sock"
            if ("fastcgi_pass" in text) != bool(site["php_version"]) or (site["php_version"] and socket not in text):
                found.append(f"the vhost of {site['domain']} does not run {site['php_version'] or 'as static'}")
    for name in enabled:
        if os.path.islink(host.path("/etc/nginx/sites-enabled", name)) and name not in available:
            found.append(f"sites-enabled/{name} points to nothing")
    status, text = host.run("nginx", "-t")
    if status != 0:
        found.append(f"nginx -t: {text.strip()[-300:]}")
    elif "conflicting server name" in text:
        found.append(f"nginx -t: {text.strip()[-300:]}")
    return found


def php(host, accounts, sites, pools):
    found = []
    expected = {}
    for pool in pools:
        user = accounts[pool["account_id"]]["linux_user"]
        expected[f"{user}-{pool['version']}"] = (pool, user)
    configs = {name.removesuffix(".conf") for name in host.names("/etc/gantry-worker/php") if name.endswith(".conf")}
    sockets = {name.removesuffix(".sock") for name in host.names("/run/gantry-php") if name.endswith(".sock")}
    wants = set(host.names("/etc/systemd/system/sockets.target.wants"))
    # The pools of a suspended account rest: they have their files and do not listen.
    live = {
        name for name, (pool, _) in expected.items()
        if (pool["presence"], accounts[pool["account_id"]]["presence"]) == ("present", "active")
    }
    for name in sorted(configs - set(expected)):
        found.append(f"the pool file {name} belongs to no pool")
    for name in sorted(set(expected) - configs):
        found.append(f"the pool file of {name} is missing")
    for name in sorted(sockets - live):
        found.append(f"the socket {name} is there without a pool")
    for name in sorted(live - sockets):
        found.append(f"the socket of {name} is missing")
    groups = {line.split(":")[0]: int(line.split(":")[2]) for line in host.read("/etc/group").decode().splitlines()}
    for name in sorted(live & sockets):
        status, uid = host.lstat(f"/run/gantry-php/{name}.sock"), accounts[expected[name][0]["account_id"]]["uid"]
        if not stat.S_ISSOCK(status.st_mode) or (status.st_uid, status.st_gid, status.st_mode & 0o777) != (uid, groups["www-data"], 0o660):
            found.append(f"the socket of {name} is of {status.st_uid}:{status.st_gid} and {status.st_mode & 0o7777:o}")
    for name in sorted(configs & set(expected)):
        path, (pool, user) = f"/etc/gantry-worker/php/{name}.conf", expected[name]
        if host.lstat(path).st_uid != 0:
            found.append(f"the pool file {name} is not root's")
        text = host.read(path).decode()
        for line in (f"[{user}]", f"listen = /run/gantry-php/{name}.sock", f"env[USER] = {user}"):
            if line not in text.splitlines():
                found.append(f"the pool file {name} lacks {line}")
        if set(re.findall(r"/home/([a-z0-9]+)/", text)) != {user}:
            found.append(f"the pool file {name} names other homes than that of {user}")
        # One that never served has no log yet, which its master could not make.
        if name not in live:
            continue
        # As the master runs: root would have to be told as whom.
        as_user = ("setpriv", "--reuid", user, "--regid", user, "--clear-groups")
        status, said = host.run(*as_user, f"php-fpm{pool['version']}", "--test", "--fpm-config", path)
        if status != 0:
            found.append(f"php-fpm refuses the pool file {name}: {said.strip()[-300:]}")
    for name in sorted(live):
        user, version = name.rsplit("-", 1)
        if f"gantry-php{version}@{user}.socket" not in wants:
            found.append(f"the socket of {name} would not listen after a reboot")
    for want in wants:
        match = re.fullmatch(r"gantry-php([0-9.]+)@([a-z0-9]+)\.socket", want)
        if match and f"{match[2]}-{match[1]}" not in live:
            found.append(f"{want} is wanted at boot without a pool")
    for site in sites:
        if site["php_version"] and f"{accounts[site['account_id']]['linux_user']}-{site['php_version']}" not in expected:
            found.append(f"{site['domain']} has no pool")
    _, units = host.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "gantry-php*", "gantry-*.slice")
    users = {account["linux_user"] for account in accounts.values()}
    for line in units.splitlines():
        unit = line.split()[0]
        match = re.search(r"@([a-z0-9]+)\.(service|socket)$", unit)
        # What is only remembered by systemd, without a file and a process, is forgotten when it next reads its units.
        is_memory = line.split()[2:4] == ["inactive", "dead"]
        if match and match[1] not in users and not is_memory:
            found.append(f"the unit {unit} belongs to no account ({' '.join(line.split()[1:4])})")
        if match and "failed" in line.split()[2:4] and f"{match[1]}" in users:
            found.append(f"the unit {unit} has failed")
    return found


def settings(host, accounts, pools):
    """Each pool's file, and what its vhosts take over from it, say what was set for it."""
    found = []
    for pool in pools:
        name, given = f"{accounts[pool['account_id']]['linux_user']}-{pool['version']}", json.loads(pool["settings"])
        path, part = f"/etc/gantry-worker/php/{name}.conf", f"/etc/nginx/gantry/{name}.conf"
        if host.lstat(path) is not None:
            says = {}
            for line in host.read(path).decode().splitlines():
                key, _, value = line.partition(" = ")
                says.setdefault(key, []).append(value)
            wants = php_values(given) | process_manager(**given["process_manager"])
            for key, value in wants.items():
                if says.get(key) != [str(value)]:
                    found.append(f"the pool file {name} says {says.get(key)} of {key}, not {value}")
        if host.lstat(part) is not None:
            sizes = re.findall(r"client_max_body_size\s+([^;]+);", host.read(part).decode())
            if sizes != [f"{given['post_max_size_mib']}m"]:
                found.append(f"{part} takes bodies of {sizes}, not of {given['post_max_size_mib']}m")
    return found


def php_values(given):
    """The values of php.ini in a pool's file."""
    return {
        "php_admin_value[memory_limit]": f"{given['memory_limit_mib']}M",
        "php_value[max_execution_time]": given["max_execution_time_s"],
        "php_value[max_input_time]": given["max_input_time_s"],
        "php_value[max_input_vars]": given["max_input_vars"],
        "php_value[post_max_size]": f"{given['post_max_size_mib']}M",
        "php_value[upload_max_filesize]": f"{given['upload_max_filesize_mib']}M",
    }


def process_manager(pm, max_children, max_requests, start_servers=None, min_spare=None, max_spare=None, idle_timeout_s=None):
    """How children come and go in a pool's file. On demand the socket starts the master, two of whose children wait; how long it may be
    idle is in no file."""
    wants = {"pm": "static" if pm == "static" else "dynamic", "pm.max_children": max_children, "pm.max_requests": max_requests}
    if pm == "ondemand":
        start_servers = min_spare = max_spare = min(2, max_children)
    if pm != "static":
        wants |= {"pm.start_servers": start_servers, "pm.min_spare_servers": min_spare, "pm.max_spare_servers": max_spare}
    return wants


def leftovers(host, worker, tables):
    """Temporary and staged files, trash, foreign processes, what is in flight."""
    found = []
    for top in ("/etc/nginx", "/etc/gantry-worker", "/etc/systemd/system", "/usr/lib/gantry-worker"):
        for directory, _, files in os.walk(host.path(top)):
            found += [f"left over: {os.path.join(top, name)}" for name in files if name.startswith(".gantry-")]
    found += [f"in the trash: {name}" for name in host.names("/home/.gantry-trash")]
    # Not through /proc, whose links SQLite would follow to here.
    for table in tables:
        count = rows(worker, f"SELECT COUNT(*) FROM {table}")[0][0]
        if count:
            found.append(f"the worker's {table} holds {count}")
    known = {int(line.split(":")[2]) for line in host.read("/etc/passwd").decode().splitlines()}
    for process in filter(str.isdigit, os.listdir(host.path("/proc"))):
        try:
            uid = os.stat(host.path("/proc", process)).st_uid
        except FileNotFoundError:
            continue
        if FIRST_UID <= uid <= LAST_UID and uid not in known:
            found.append(f"a process of uid {uid} runs, and nobody has that uid")
    return found


def is_suspended(site, accounts):
    return "suspended" in (site["presence"], accounts[site["account_id"]]["presence"])


def answers(host, accounts, sites, names):
    """Every name of every site answers as it should, over the network."""
    found = []
    for site in sites:
        suspended = is_suspended(site, accounts)
        for name in names[site["id"]]:
            status = fetch(host.address, name)
            # 403: the site was made static, and what lies there is PHP.
            good = (200,) if site["php_version"] else (200, 403)
            if (status not in good) if not suspended else status in (0, 200):
                found.append(f"{name} answers {status}, and is {'suspended' if suspended else 'active'}")
    return found


def main():
    parser = argparse.ArgumentParser()
    for name in ("--database", "--host", "--lab"):
        parser.add_argument(name, required=True)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    found = look(arguments.database, Host(arguments.host, arguments.lab), arguments.seconds)
    for sentence in found:
        print(sentence)
    raise SystemExit(1 if found else 0)


if __name__ == "__main__":
    main()
