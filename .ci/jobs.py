"""Jobs as the panel would write them, for `gantry-worker apply-file`: what is wanted of made-up accounts, pools and sites."""

PHP = "8.2"


def key(kind, number):
    """Ids that are the same in every run."""
    return f"0192{kind:04x}-0000-7000-8000-{number:012d}"


class Jobs:
    """Desired states, each newer than the last of its resource. `name` is in every user and domain."""

    SETTINGS = {
        "memory_limit_mib": 128, "max_execution_time_s": 30, "max_input_time_s": 60, "max_input_vars": 1000, "post_max_size_mib": 64,
        "upload_max_filesize_mib": 64,
        "process_manager": {"pm": "ondemand", "max_children": 10, "idle_timeout_s": 20, "max_requests": 500},
    }

    def __init__(self, name):
        self.name, self.generations, self.count = name, {}, 0

    def envelope(self, account, resource, job):
        generation = self.generations[resource] = self.generations.get(resource, 0) + 1
        self.count += 1
        return {
            "v": 1, "id": key(9, self.count), "operation": key(8, self.count), "epoch": key(7, 0), "server": self.name, "attempt": 1,
            "account": key(1, account), "resource": resource, "generation": generation, "job": job,
        }

    def user(self, account):
        return {"user": f"{self.name}{account}", "uid": 300000 + account}

    def domain(self, number):
        return f"site{number}.{self.name}.com"

    def account(self, number, presence="active", sftp=None):
        spec = {"type": "account", **self.user(number), "presence": presence, "sftp": sftp or {"keys": []},
                "limits": {"cpu_percent": 200, "memory_mib": 1024, "tasks": 200}}
        return self.envelope(number, f"account:{key(1, number)}", spec)

    def pool(self, account, presence="present", **settings):
        spec = {"type": "php_pool", **self.user(account), "version": PHP, "presence": presence, "settings": {**self.SETTINGS, **settings}}
        return self.envelope(account, f"php_pool:{key(2, account)}", spec)

    def site(self, number, account, presence="active", php=True, aliases=("www",)):
        domain = self.domain(number)
        kind = {"type": "php", "version": PHP} if php else {"type": "static"}
        spec = {"type": "site", **self.user(account), "domain": domain, "aliases": [f"{alias}.{domain}" for alias in aliases],
                "document_root": domain, "kind": kind, "presence": presence}
        return self.envelope(account, f"site:{key(3, number)}", spec)
