"""The panel as a browser without JavaScript sees it: forms and pages over HTTPS, for measurements and faults."""

import html
import http.client
import re
import ssl
import urllib.parse

PATIENCE_S = 60
CHOSEN = "seven-quiet-herons-42"


class Refused(Exception):
    """The panel answered something else than was expected."""


class Panel:
    """A signed-in admin on one kept connection."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=PATIENCE_S)
        self.cookies = {}

    def request(self, method, path, fields=None):
        """Status, Location and text. A broken connection is an OSError or an HTTPException, and the next request makes a new one."""
        headers = {"Sec-Fetch-Site": "same-origin", "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        body = None
        if fields is not None:
            body, headers["Content-Type"] = urllib.parse.urlencode(fields), "application/x-www-form-urlencoded"
        try:
            self.connection.request(method, path, body, headers)
            response = self.connection.getresponse()
            text = response.read().decode()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            raise
        for cookie in response.headers.get_all("Set-Cookie") or []:
            name, value = cookie.split(";")[0].split("=", 1)
            self.cookies[name] = value
        return response.status, response.headers.get("Location", ""), text

    def submit(self, path, fields, status=303):
        answer = self.request("POST", path, fields)
        if answer[0] != status:
            raise Refused(f"{path} answered {answer[0]}: {answer[2][:2000]}")
        return answer

    def sign_in(self, once):
        """Signs in with the one-time password and chooses another."""
        self.submit("/sign-in", {"login": "admin", "password": once})
        self.submit("/password", {"current": once, "new": CHOSEN, "repeat": CHOSEN})

    def sign_in_again(self):
        """Signs in with the chosen password."""
        self.submit("/sign-in", {"login": "admin", "password": CHOSEN})

    def client(self, login):
        """A new client; the id."""
        self.submit("/clients", {"login": login, "name": login}, 200)
        return re.search(r"/clients/([0-9a-f-]{36})", self.request("GET", f"/clients?q={login}")[2]).group(1)


def words(page):
    """What one reads on a page's main part."""
    main = page.split("<main", 1)[-1].split("</main>", 1)[0]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", main.split(">", 1)[-1])).split())
