"""Asks sites that nobody changes, on a fresh connection each time, and keeps what was lost."""

import threading
import time

from auditor import fetch

PAUSE_S = 0.02


class Prober:
    def __init__(self, address, domains):
        self.address, self.domains = address, domains
        self.asked, self.lost, self.longest_gap_s, self.longest_gap_at = 0, [], 0.0, ""
        self.excused, self.ended = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        answered = {domain: time.monotonic() for domain in self.domains}
        while not self.ended.is_set():
            for domain in self.domains:
                excused = self.excused.is_set()
                status = fetch(self.address, domain, timeout=5)
                now = time.monotonic()
                # While the host is cut off or off, and until it has answered again, nothing counts.
                if excused or self.excused.is_set():
                    answered[domain] = now
                    continue
                self.asked += 1
                if status == 200:
                    if now - answered[domain] > self.longest_gap_s:
                        self.longest_gap_s, self.longest_gap_at = now - answered[domain], time.strftime("%H:%M:%S")
                    answered[domain] = now
                else:
                    self.lost.append(f"{domain} answered {status} at {time.strftime('%H:%M:%S')}")
            time.sleep(PAUSE_S)

    def stop(self):
        self.ended.set()
        self.thread.join()
