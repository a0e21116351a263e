"""The faults that strike at random. Each heals before it returns."""

import http.client
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from panel import Panel, Refused
from site_answer import fetch

# The panel sends again what it heard nothing of for two minutes, and looks for that every quarter of a minute.
SENT_AGAIN_S = 180
BUS_PORT = 4222


@dataclass(frozen=True)
class Fault:
    """`quick`: it and what comes of it are over within seconds."""

    name: str
    weight: int
    strike: Callable
    quick: bool = False


def faults(world, prober):
    """All of them."""
    host, lab = world.host, world.host.ask
    made = [0]

    def shell(script):
        return host.run("sh", "-c", script)

    def worker(verb):
        host.run("systemctl", *verb.split(), "gantry-worker")

    # ---------------------------------------------------------------------------------------------- the host

    def host_gone(begin, end, seconds):
        prober.excused.set()
        begin()
        time.sleep(seconds)
        end()
        deadline = time.monotonic() + 60
        while not all(fetch(host.address, domain, timeout=2) == 200 for domain in prober.domains):
            if time.monotonic() > deadline:
                world.violation("sites do not serve again a minute after the host was back")
                break
            time.sleep(0.1)
        prober.excused.clear()

    def killed_in_a_loop(random):
        for _ in range(5):
            worker("kill -s KILL")
            time.sleep(random.uniform(0.2, 2))

    def stalled(seconds):
        worker("kill -s STOP")
        time.sleep(seconds)
        worker("kill -s CONT")

    def broken_by_hand(seconds):
        shell("echo 'server { listen 80; server_name broken by hand' > /etc/nginx/conf.d/zz-hand.conf")
        time.sleep(seconds)
        host.run("rm", "-f", "/etc/nginx/conf.d/zz-hand.conf")

    def full(directory, seconds):
        """A small disk in place of a directory, filled to the brim; what was changed on it is carried over."""
        shell(
            f"systemctl kill -s STOP gantry-worker; rm -rf /tmp/kept; cp -a {directory} /tmp/kept && "
            f"mount -t tmpfs -o size=$(($(du -sk {directory} | cut -f1) + 512))k,mode=$(stat -c %a {directory}) full {directory} && "
            f"cp -a /tmp/kept/. {directory}/; dd if=/dev/zero of={directory}/.fill bs=1k 2>/dev/null; systemctl kill -s CONT gantry-worker",
        )
        time.sleep(seconds)
        shell(
            f"systemctl kill -s STOP gantry-worker; rm -f {directory}/.fill; rm -rf /tmp/kept; cp -a {directory} /tmp/kept; "
            f"umount -l {directory}; find {directory} -mindepth 1 -delete; cp -a /tmp/kept/. {directory}/; rm -rf /tmp/kept; "
            "systemctl kill -s CONT gantry-worker",
        )

    def full_database(seconds):
        """As above, for the worker's own database: it is stopped to move, as an open file would stay where it was."""
        directory = "/var/lib/gantry-worker"
        shell(
            f"systemctl stop gantry-worker; rm -rf /tmp/kept; cp -a {directory} /tmp/kept && "
            f"mount -t tmpfs -o size=$(($(du -sk {directory} | cut -f1) + 256))k,mode=700 full {directory} && cp -a /tmp/kept/. {directory}/; "
            f"dd if=/dev/zero of={directory}/.fill bs=1k 2>/dev/null; systemctl start --no-block gantry-worker",
        )
        time.sleep(seconds)
        shell(
            f"systemctl stop gantry-worker; rm -f {directory}/.fill; rm -rf /tmp/kept; cp -a {directory} /tmp/kept; umount -l {directory}; "
            f"find {directory} -mindepth 1 -delete; cp -a /tmp/kept/. {directory}/; rm -rf /tmp/kept; systemctl start --no-block gantry-worker",
        )

    def read_only(directory, seconds):
        shell(f"mount --bind {directory} {directory} && mount -o remount,bind,ro {directory}")
        time.sleep(seconds)
        shell(f"umount -l {directory}")

    def locked(seconds):
        """Somebody who was killed while changing a user by hand, and somebody who is still at it."""
        shell("printf 4194304 > /etc/passwd.lock; printf 1 > /etc/shadow.lock")
        time.sleep(seconds)
        host.run("rm", "-f", "/etc/passwd.lock", "/etc/shadow.lock")

    def wrong_clock(days, seconds):
        """For the worker alone: the kernel's clock is everybody's."""
        library = next(
            line for line in subprocess.check_output(["dpkg", "-L", "libfaketime"], text=True).splitlines() if line.endswith("libfaketime.so.1")
        )
        lab("put", library, "/root/libfaketime.so.1")
        shell(
            "mkdir -p /run/systemd/system/gantry-worker.service.d; printf '[Service]\\nEnvironment=LD_PRELOAD=/root/libfaketime.so.1 "
            f"FAKETIME={days:+d}d FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1\\n' > /run/systemd/system/gantry-worker.service.d/clock.conf; "
            "systemctl daemon-reload; systemctl restart --no-block gantry-worker",
        )
        time.sleep(seconds)
        shell("rm -r /run/systemd/system/gantry-worker.service.d; systemctl daemon-reload; systemctl restart --no-block gantry-worker")

    def tenant(random):
        """One of the actors' users; none if there is none."""
        users = [user for user in host.names("/home") if user.startswith("chaos")]
        return random.choice(users) if users else None

    def php_killed(random):
        user = tenant(random)
        if user:
            host.run("pkill", "-KILL", "-u", user)

    def hostile_tenant(random):
        """A tenant puts links, pipes and folders in root's way, everywhere he can, while jobs of his run."""
        user, seconds = tenant(random), random.uniform(2, 5)
        if not user:
            return
        lab("put", os.path.join(os.path.dirname(os.path.abspath(__file__)), "fight.php"), "/srv/fight.php", "0644")
        before = host.lstat("/etc/shadow")
        # Once more for no time: whoever is ended in the middle, as when the account is suspended, has not cleared up.
        for length in (seconds, 0):
            host.run("setpriv", "--reuid", user, "--regid", user, "--clear-groups", "php", "/srv/fight.php", user, f"{length:.1f}")
        after = host.lstat("/etc/shadow")
        if (before.st_uid, before.st_gid, before.st_mode) != (after.st_uid, after.st_gid, after.st_mode):
            world.violation(f"/etc/shadow belongs to {after.st_uid}:{after.st_gid} with mode {after.st_mode:o} after {user} fought")

    # ---------------------------------------------------------------------------------------------- the bus

    def bus_cut(verdict, seconds):
        """Packets to the bus are lost or refused, on a connection that stands; sites go on serving."""
        shell(
            "nft add table inet chaos && nft 'add chain inet chaos out { type filter hook output priority -10; }' && "
            f"nft 'add rule inet chaos out tcp dport {BUS_PORT} {verdict}'",
        )
        time.sleep(seconds)
        host.run("nft", "delete", "table", "inet", "chaos")

    def store_lost():
        """All that was on its way is dropped, in both directions."""
        world.patience_s = SENT_AGAIN_S
        with world.bus_stopped() as streams:
            shutil.rmtree(streams)
            shutil.rmtree(os.path.join(world.bus, "accounts"))

    def store_taken_back(seconds):
        """What came since is dropped, and what was delivered before comes again: late, double, and after what is newer."""
        world.patience_s = SENT_AGAIN_S
        with world.bus_stopped() as streams:
            run("cp", "-a", streams, streams + ".old")
        time.sleep(seconds)
        with world.bus_stopped() as streams:
            shutil.rmtree(streams)
            os.rename(streams + ".old", streams)

    def bit_flipped(random):
        world.patience_s = SENT_AGAIN_S
        with world.bus_stopped() as streams:
            blocks = sorted(
                os.path.join(directory, name) for directory, _, names in os.walk(streams) for name in names
                if name.endswith(".blk") and os.path.getsize(os.path.join(directory, name))
            )
            if blocks:
                path = random.choice(blocks)
                with open(path, "r+b") as file:
                    at = random.randrange(os.path.getsize(path))
                    file.seek(at)
                    byte = file.read(1)[0]
                    file.seek(at)
                    file.write(bytes([byte ^ 1 << random.randrange(8)]))

    def run(*command):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def unmount(path):
        """A process that was killed lets go of its files a moment later."""
        deadline = time.monotonic() + 20
        while subprocess.run(["umount", path], stderr=subprocess.DEVNULL, check=False).returncode != 0:
            if time.monotonic() > deadline:
                raise SystemExit(f"{path} is busy")
            time.sleep(0.1)

    def move_out(streams, *mount):
        """Mounts something in place of the bus's store, with all that is there."""
        run("cp", "-a", streams, streams + ".kept")
        run("mount", "-o", *mount, streams)
        run("cp", "-a", streams + ".kept/.", streams)
        shutil.rmtree(streams + ".kept")

    def move_back(streams):
        run("cp", "-a", streams, streams + ".kept")
        unmount(streams)
        shutil.rmtree(streams)
        shutil.rmtree(streams + ".kept/lost+found", ignore_errors=True)
        os.rename(streams + ".kept", streams)

    def bus_disk_full(seconds):
        world.patience_s = SENT_AGAIN_S
        with world.bus_stopped() as streams:
            used = int(subprocess.check_output(["du", "-sk", streams], text=True).split()[0])
            move_out(streams, f"size={used + 256}k", "-t", "tmpfs", "full")
            subprocess.run(["dd", "if=/dev/zero", f"of={streams}/.fill", "bs=1k"], stderr=subprocess.DEVNULL, check=False)
        time.sleep(seconds)
        with world.bus_stopped() as streams:
            os.remove(f"{streams}/.fill")
            move_back(streams)

    def bus_power_cut(seconds):
        """The bus on a disk that forgets what was not flushed: a file system in a file on btrfs, a reflink of which holds what has
        been written to it, without what the kernel still keeps in memory."""
        world.patience_s = SENT_AGAIN_S
        below = os.path.join(os.path.dirname(world.bus), "power")

        os.mkdir(below)
        run("truncate", "--size=1G", below + ".img")
        run("mkfs.btrfs", "--quiet", below + ".img")
        run("mount", "-o", "loop", below + ".img", below)
        run("truncate", "--size=256M", f"{below}/disk")
        run("mkfs.ext4", "-q", f"{below}/disk")
        with world.bus_stopped() as streams:
            move_out(streams, "loop", f"{below}/disk")
            # What the bus had kept by then is no loss of this cut, nor whose directory it is.
            run("sync", "--file-system", streams)
        time.sleep(seconds)
        world.kill("nats-server", sent=signal.SIGSTOP)
        run("cp", "--reflink=always", f"{below}/disk", f"{below}/rest")
        with world.bus_stopped() as streams:
            unmount(streams)
            run("mount", "-o", "loop", f"{below}/rest", streams)
        time.sleep(2)
        with world.bus_stopped() as streams:
            move_back(streams)
        unmount(below)
        os.rmdir(below)
        os.remove(below + ".img")

    # ---------------------------------------------------------------------------------------------- the panel

    def database_locked(seconds):
        world.database_is_locked.set()
        connection = sqlite3.connect(world.database, timeout=30, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            connection.execute("ROLLBACK")
        finally:
            connection.close()
        # What waited for it is answered.
        time.sleep(1)
        world.database_is_locked.clear()

    def flood(sites):
        """Somebody asks for many sites at once, and then to delete all of it."""
        made[0] += 1
        user = f"chaosflood{made[0]}"
        try:
            panel = Panel(world.panel_address)
            panel.sign_in_again()
            status, account, _ = panel.request("POST", "/accounts", {"owner": world.owner, "user": user, "server": ""})
            if status != 303:
                return
            for number in range(sites):
                fields = {"account": account.rsplit("/", 1)[1], "domain": f"s{number}.{user}.example", "php": "static"}
                panel.request("POST", "/sites", fields)
            panel.request("POST", f"{account}/delete", {"confirm": user})
        except (OSError, http.client.HTTPException, Refused):
            # Whatever was taken is audited; the account stays.
            pass

    return [
        Fault("kill worker", 6, lambda r: worker("kill -s KILL"), quick=True),
        Fault("kill worker in a loop", 2, killed_in_a_loop),
        Fault("stall worker", 2, lambda r: stalled(r.uniform(2, 8)), quick=True),
        Fault("kill dispatch", 3, lambda r: world.kill("bin/gantry", "dispatch"), quick=True),
        Fault("kill serve", 2, lambda r: world.kill("bin/gantry", "serve"), quick=True),
        Fault("kill bus", 3, lambda r: world.kill("nats-server"), quick=True),
        Fault("cut network", 2, lambda r: host_gone(lambda: lab("net-cut"), lambda: lab("net-heal"), r.uniform(2, 10))),
        Fault("cut power", 1, lambda r: host_gone(lambda: lab("cut"), lambda: lab("up"), r.uniform(0, 2))),
        Fault("nginx broken by hand", 2, lambda r: broken_by_hand(r.uniform(1, 6)), quick=True),
        Fault("disk full", 2, lambda r: full(r.choice(["/etc/nginx/sites-available", "/etc/gantry-worker"]), r.uniform(1, 4)), quick=True),
        Fault("worker's disk full", 1, lambda r: full_database(r.uniform(1, 4))),
        Fault("disk read-only", 2, lambda r: read_only(r.choice(["/etc/nginx", "/etc/gantry-worker", "/home"]), r.uniform(1, 4)), quick=True),
        Fault("users locked", 1, lambda r: locked(r.uniform(1, 5)), quick=True),
        Fault("clock wrong", 2, lambda r: wrong_clock(r.choice([-1, 1]), r.uniform(3, 8))),
        Fault("kill a tenant's processes", 2, php_killed, quick=True),
        Fault("hostile tenant", 3, hostile_tenant, quick=True),
        Fault("bus cut off in silence", 2, lambda r: bus_cut("drop", r.uniform(2, 12))),
        Fault("bus refuses one in three", 2, lambda r: bus_cut("numgen random mod 3 0 reject with tcp reset", r.uniform(2, 8))),
        Fault("bus store lost", 1, lambda r: store_lost()),
        Fault("bus store taken back", 1, lambda r: store_taken_back(r.uniform(1, 6))),
        Fault("bit flipped in the bus's store", 1, bit_flipped),
        Fault("bus's disk full", 1, lambda r: bus_disk_full(r.uniform(2, 6))),
        Fault("bus's power cut", 1, lambda r: bus_power_cut(r.uniform(3, 8))),
        Fault("database locked", 2, lambda r: database_locked(r.uniform(1, 14))),
        Fault("flood of jobs", 2, lambda r: flood(r.randrange(20, 60)), quick=True),
    ]
