"""What a coordinator's log says of leases; each event is a line of it at `regatta_coordinator::driver=debug`."""

import json
import re
import time
from datetime import datetime

LOG = "info,regatta_coordinator::driver=debug"


class Record:
    """What the coordinator wrote down of leases: who held each, and from when to when, in seconds since the epoch."""

    LEASED = re.compile(r"shard (\S+) leased to (\S+) slot")
    ENDED = re.compile(r"lease (\S+) ended: (\w+)")
    #: A result that came under a lease that had ended, and was refused.
    LATE = re.compile(r"\blate\b|\brefused\b")

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
            self.leases[found[1]] = {"worker": found[2], "from": at, "to": None, "why": None}
        elif (found := self.ENDED.match(message)) and found[1] in self.leases:
            self.leases[found[1]] |= {"to": at, "why": found[2]}
        elif self.LATE.search(message):
            self.late += 1

    def outlived(self, worker, lost):
        """How long each lease went on that `worker` held when it was lost. One that ended otherwise was told of before."""
        for lease in self.leases.values():
            if lease["worker"] == worker and lease["from"] <= lost and (lease["to"] is None or lease["to"] > lost):
                yield (lease["to"] or time.time()) - lost, lease["why"]
