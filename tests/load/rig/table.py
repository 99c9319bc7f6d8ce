"""What was measured, as a table for people (Markdown, so that it can be pasted) and as JSON."""

from .measure import attained, best, median


def markdown(case, samples):
    """The table of a case, and a line for each of its goals."""
    groups = [g for g in dict.fromkeys(column.group for column in case.columns) if g != "regatta"]
    references = {group: best(case, samples, group) for group in groups}
    head = ["column", "median s", "min–max s", *(f"÷ {_named(case, g, references[g])}" for g in groups)]
    head += [heading for heading in case.figures.values()]
    rows = []
    for column in case.columns:
        taken = samples[column.name]["seconds"]
        row = [column.name, f"{median(samples, column.name):.2f}", f"{min(taken):.2f}–{max(taken):.2f}"]
        row += [f"{median(samples, column.name) / median(samples, references[g]):.2f}" for g in groups]
        row += [_figure(median(samples, column.name, figure)) for figure in case.figures]
        rows.append(row)
    lines = [f"### {case.name}", "", case.about, ""]
    lines += ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    goals = [_goal(case, samples, goal) for goal in case.goals]
    return "\n".join([*lines, "", *filter(None, goals)]).rstrip() + "\n"


def record(case, samples):
    """The same as plain values."""
    return {
        "case": case.name,
        "about": case.about,
        "columns": [{"name": c.name, "group": c.group, "samples": samples[c.name]} for c in case.columns],
        "goals": [{**vars(goal), "attained": attained(case, samples, goal)} for goal in case.goals],
    }


def _named(case, group, column):
    alone = sum(c.group == group for c in case.columns) == 1
    return column if alone else f"best {group}"


def _figure(value):
    if value is None:
        return "–"
    return f"{value:.0f}" if value == int(value) else f"{value:.2f}"


def _goal(case, samples, goal):
    value = attained(case, samples, goal)
    if value is None:
        return None
    of = f" × best {goal.group}" if goal.group else f" {case.figures.get(goal.figure, goal.figure)}"
    said = "met" if value <= goal.limit else "MISSED"
    return f"- {goal.column}: {value:.2f}{of}, goal ≤ {goal.limit:.2f}: {said}"
