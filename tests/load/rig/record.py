"""What a coordinator's log says of leases; each event is a line of it at `regatta_coordinator::driver=debug`."""

import json
import re
import time
from datetime import datetime

LOG = "info,regatta_coordinator::driver=debug"


class Record:
    """What the coordinator wrote down of leases: who held each, and from when to when, in seconds since the epoch."""

    LEASED = re.compile(r"shard (\S+) leased to (\S+) slot")
    ENDED = re.compile(r"lease (\S+) ended: (\w+)(, under test)?")
    #: Results that came under a lease that had been taken from their worker, and were refused.
    LATE = re.compile(r"(\d+) late results of (\S+) refused under (\S+)")

    def __init__(self, *logs):
        self.leases, self.late = {}, 0
        for log in logs:
            for line in log.read_text(errors="replace").splitlines():
                self._read(line)

    def _read(self, line):
        try:
            said = json.loads(line)
            at, message = datetime.fromisoformat(said["timestamp"]).timestamp(), said["message"]
        except (ValueError, KeyError, TypeError):
            return
        if found := self.LEASED.match(message):
            self.leases[found[1]] = {"worker": found[2], "from": at, "to": None, "why": None, "under": False}
        elif (found := self.ENDED.match(message)) and found[1] in self.leases:
            self.leases[found[1]] |= {"to": at, "why": found[2], "under": found[3] is not None}
        elif found := self.LATE.match(message):
            self.late += int(found[1])

    def given_up(self):
        """The tokens of leases whose worker was given up, or broke off by its own deadline what ran, and said so in time."""
        ended = lambda lease: lease["why"] in ("WorkerLost", "Unwitnessed") or (lease["why"] == "Released" and lease["under"])
        return {int(token) for token, lease in self.leases.items() if ended(lease)}

    def returned(self):
        """Those of them whose worker was granted something later: it had told all that it had to say."""
        last = {}
        for lease in self.leases.values():
            last[lease["worker"]] = max(last.get(lease["worker"], 0), lease["from"])
        of = lambda token: self.leases[str(token)]
        return {token for token in self.given_up() if last[of(token)["worker"]] > of(token)["to"]}

    def outlived(self, worker, lost):
        """How long each lease went on that `worker` held when it was lost. One that ended otherwise was told of before."""
        for lease in self.leases.values():
            if lease["worker"] == worker and lease["from"] <= lost and (lease["to"] is None or lease["to"] > lost):
                yield (lease["to"] or time.time()) - lost, lease["why"]
