"""Asks sites that nobody changes, on a fresh connection each time, and keeps what was lost.

Lost is what a visitor sees as an error: refused, reset, another page. An answer that does not come in time is late, which is counted
by itself, and lost when a visitor would have gone. The longest gap is the longest time between two good answers.
"""

import threading
import time

from site_answer import answer

PAUSE_S = 0.02
IN_TIME_S = 5


class Prober:
    # A visitor without a good answer has gone after so long.
    PATIENCE_S = 30

    def __init__(self, address, domains):
        self.address, self.domains = address, domains
        self.asked, self.late, self.lost, self.longest_gap_s, self.longest_gap_at = 0, 0, [], 0.0, ""
        # What each answered first. Nobody changes it, so anything else is somebody else's.
        self.pages = {}
        self.excused, self.ended = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        answered = {domain: time.monotonic() for domain in self.domains}
        while not self.ended.is_set():
            for domain in self.domains:
                excused = self.excused.is_set()
                said = self.said(domain)
                now = time.monotonic()
                # While the host is cut off or off, and until it has answered again, nothing counts.
                if excused or self.excused.is_set():
                    answered[domain] = now
                    continue
                self.asked += 1
                self.late += said == "late"
                gap = now - answered[domain]
                if gap > self.longest_gap_s:
                    self.longest_gap_s, self.longest_gap_at = gap, time.strftime("%H:%M:%S")
                if said == "its page":
                    answered[domain] = now
                elif said != "late" or gap > self.PATIENCE_S:
                    self.lost.append(f"{domain} answered {said} at {time.strftime('%H:%M:%S')}")
            time.sleep(PAUSE_S)

    def said(self, domain):
        """What a site answers with, in words."""
        try:
            status, body = answer(self.address, domain, timeout=IN_TIME_S)
        except TimeoutError:
            return "late"
        except (OSError, ValueError) as error:
            return repr(error)
        if status != 200:
            return f"{status}"
        if body != self.pages.setdefault(domain, body):
            return f"another page: {body[:80]!r}"
        return "its page"

    def stop(self):
        self.ended.set()
        self.thread.join()
