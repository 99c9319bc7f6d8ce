"""Compares what a coordinator recorded with what the tests themselves wrote down. It knows nothing of how either came about.

The promises:

- each planned test has exactly one verdict, and the one that is known of it;
- a verdict rests on an attempt that really ran, and ended so; nothing is recorded that never ran;
- a test whose result was accepted is never begun again;
- a result that was refused is of an execution that ended so, under a lease that was given up, and no verdict rests on it;
- what a worker finished under such a lease, and told when it came back, is on record;
- a test runs again only because the worker was killed that ran it, or that had its result and had not been able to say so.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

#: A worker that can say a result has had it acknowledged within this, on a machine of two cores with twenty workers.
SAID_S = 2.0

#: Beside a spool it is on disk within this, coordinator or not.
SPOOLED_S = 0.5

#: How far the recorded beginning of an attempt may be from what its test wrote down, where more than one could be meant.
APART_S = 30.0


@dataclass
class Check:
    """What came of a comparison."""

    violations: list = field(default_factory=list)
    executions: int = 0
    #: Why tests ran again, and how often.
    again: Counter = field(default_factory=Counter)
    #: The most results of one killed worker that were finished and lost with it, of a coordinator that could be reached.
    most_lost: int = 0
    #: Results that are on record as refused.
    refused: int = 0

    def wrong(self, what):
        self.violations.append(what)


def check(known, record, executions, nonsense, killed, away=(), wall_of=None, given_up=frozenset(), spooled=False, returned=frozenset()):
    """`killed`: when (by uptime) each worker was killed, by id. `away`: while no coordinator served, as pairs of uptimes. `given_up`: the
    tokens of leases whose worker was cut off or stopped until the coordinator gave it up. `returned`: those of them whose worker had work
    again later, and so had told all that it had to say. `spooled`: workers that were killed came back
    to the results that they had spooled.

    `wall_of` turns an uptime into seconds since the epoch; without it, times are not compared (somebody stepped a clock).
    """
    found = Check(executions=len(executions))
    for line in nonsense:
        found.wrong(f"a side log makes no sense: {line}")
    if not record.ended:
        found.wrong("the run has no end in the store")
    if record.orphans:
        found.wrong(f"{record.orphans} attempts are recorded of tests that have no verdict")
    by_id = defaultdict(list)
    for one in executions:
        by_id[one.id].append(one)
    for id_ in by_id.keys() - known.keys():
        found.wrong(f"{id_} ran, and was never planned")
    _verdicts(found, known, record)
    accepted = {}
    for test in record.tests:
        _rests_on_what_ran(found, test, by_id[test.id], accepted, wall_of)
    for id_, several in by_id.items():
        _ran_again(found, id_, several, accepted.get(id_), killed, away, given_up, spooled)
    for late in record.late:
        _refused(found, late, by_id[late.id], accepted.get(late.id), given_up)
    _told_late(found, record, executions, accepted, returned)
    return found


def _refused(found, late, executions, accepted, given_up):
    found.refused += 1
    what = f"{late.id}: attempt {late.number} under token {late.token} is on record as {late.outcome} and refused"
    same = [one for one in executions if (one.token, one.attempt) == (late.token, late.number)]
    if not same or same[0].outcome is None or same[0].worker.replace("-", "") != late.worker:
        found.wrong(f"{what}, and never ran to its end there")
    elif same[0].outcome != late.outcome:
        found.wrong(f"{what}, and ended as {same[0].outcome}")
    elif same[0] is accepted:
        found.wrong(f"{what}, and the verdict rests on it")
    # Where nobody was cut off, it came out of the spool of a worker that was killed.
    if given_up and late.token not in given_up:
        found.wrong(f"{what}, and its lease was not given up")


def _told_late(found, record, executions, accepted, returned):
    """The last one of a lease may have been stopped in the moment in which it ended."""
    refused = {(late.id, late.token) for late in record.late}
    for token in returned:
        under = sorted((one for one in executions if one.token == token), key=lambda one: one.began)
        for one in under[:-1]:
            if one.outcome is not None and one is not accepted.get(one.id) and (one.id, token) not in refused:
                found.wrong(f"{one.id} ended under token {token}, whose worker came back, and was neither accepted nor is on record as refused")


def _verdicts(found, known, record):
    times = Counter(test.id for test in record.tests)
    for id_, times_ in times.items():
        if times_ != 1:
            found.wrong(f"{id_} has {times_} verdicts")
        if id_ not in known:
            found.wrong(f"{id_} has a verdict, and was never planned")
    for id_ in known.keys() - times.keys():
        found.wrong(f"{id_} has no verdict")
    for test in record.tests:
        if test.id in known and test.verdict != known[test.id]:
            found.wrong(f"{test.id} is {known[test.id]}, and its verdict is {test.verdict} after {test.made} attempts")


def _rests_on_what_ran(found, test, executions, accepted, wall_of):
    if not test.attempts:
        found.wrong(f"{test.id} has a verdict, and no attempt is recorded")
    for attempt in test.attempts:
        same = [one for one in executions if one.attempt == attempt.number]
        if wall_of and len(same) > 1:
            same.sort(key=lambda one: abs(wall_of(one.began) - attempt.started))
            same = [one for one in same[:1] if abs(wall_of(one.began) - attempt.started) < APART_S]
        ended = [one for one in same if one.outcome is not None]
        if not same:
            found.wrong(f"{test.id}: attempt {attempt.number} is recorded as {attempt.outcome}, and never ran")
        elif not ended:
            found.wrong(f"{test.id}: attempt {attempt.number} is recorded as {attempt.outcome}, and never ran to its end")
        elif ended[0].outcome != attempt.outcome:
            found.wrong(f"{test.id}: attempt {attempt.number} ended as {ended[0].outcome}, and is recorded as {attempt.outcome}")
        else:
            accepted.setdefault(test.id, ended[0])


def _ran_again(found, id_, executions, accepted, killed, away, given_up, spooled):
    """Each execution but the first has a reason, and it is the one before it, in the order in which leases were granted.

    Under a lease that was given up a test may begin late, at a worker that was stopped or cut off and has not heard of it.
    """
    executions = sorted(executions, key=lambda one: (one.token, one.began))
    for before, after in zip(executions, executions[1:]):
        if before is accepted:
            found.wrong(f"{id_} was begun again (token {after.token}) after its result under {before.token} was accepted")
        if before.token in given_up:
            found.again["its worker was given up"] += 1
            continue
        kills = [at for at in killed.get(before.worker, ()) if before.began <= at + 0.02 and at <= after.began + 0.02]
        if not kills:
            found.again["for no reason"] += 1
            ended = "ran to its end" if before.ended is not None else "began"
            found.wrong(f"{id_} {ended} under token {before.token} at a worker that was not killed, and ran again under {after.token}")
        elif before.ended is None or before.ended >= min(kills):
            found.again["it ran as its worker was killed"] += 1
        else:
            lost = min(kills) - before.ended
            cut_off = sum(max(0.0, min(min(kills), to) - max(before.ended, since)) for since, to in away)
            if spooled and lost > SPOOLED_S:
                found.wrong(f"{id_} ended {lost:.1f} s before its worker was killed, which had a spool, and ran again")
            elif cut_off > 0 and not spooled:
                found.again["its result was lost with a worker that had no coordinator to say it to"] += 1
            else:
                found.again["its result was lost with its worker, on its way"] += 1
                if lost > SAID_S:
                    found.wrong(f"{id_} ended {lost:.1f} s before its worker was killed, which had a coordinator, and ran again")
