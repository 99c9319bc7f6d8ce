"""The real projects' own suites, in their own order and in random order."""

from rig import projects, pytest_peers, regatta
from rig.measure import Case, Failed, Goal

ORDERS = {"own-order": ("-p", "no:randomly"), "random-order": ()}


def cases(with_regatta):
    for project in projects.table().values():
        if not project.is_fetched():
            raise Failed(f"{project.name} is not there: run tests/load/fetch first")
        for order, switch in ORDERS.items():
            yield _case(project, order, switch, with_regatta)


def _case(project, order, switch, with_regatta):
    args = [*switch, *project.args]
    columns = pytest_peers.columns(project.python, project.folder, 2, args, done=(0, 1))
    if with_regatta:
        # The other order's case writes another configuration into the same folder, so each run writes its own.
        def configured():
            regatta.configure(project.folder, "pytest", python=str(project.python), args=args)

        columns += [
            regatta.cold(project.folder, 2, before=configured, done=(0, 1)),
            regatta.warm(project.folder, 2, before=configured, done=(0, 1)),
        ]
    return Case(
        f"projects/{project.name}/{order}",
        f"The suite of {project.name} {project.version}, two slots, {order.replace('-', ' ')}.",
        columns,
        [Goal("regatta, cold", 0.90, "xdist"), Goal("regatta, warm", 0.80, "xdist")],
        runs=project.measured,
        warm_up=project.measured >= 5,
        figures={"tests": "tests"},
    )
