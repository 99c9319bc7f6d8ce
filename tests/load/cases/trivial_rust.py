"""2,000 Rust tests that do nothing, in one binary and in twenty: what a process per test costs."""

from generate import trivial_rust
from rig import regatta, rust_peers
from rig.measure import Case, Goal
from rig.places import GENERATED


def cases(with_regatta):
    for binaries in (1, 20):
        folder = GENERATED / f"trivial-rust-{binaries}"
        trivial_rust(folder, files=binaries, tests=2000 // binaries)
        columns = rust_peers.columns(folder, 2)
        if with_regatta:
            for isolation in ("process", "binary"):
                columns += _columns(folder, isolation)
        goals = [Goal("regatta process, cold", 0.60, "nextest"), Goal("regatta binary, cold", 0.10, "nextest")]
        goals += [Goal("regatta process, warm", 0.60, "nextest"), Goal("regatta binary, warm", 0.10, "nextest")]
        named = "one binary" if binaries == 1 else f"{binaries} binaries"
        yield Case(f"trivial-rust/{binaries}", f"2,000 trivial Rust tests in {named}, two slots.", columns, goals)


def _columns(folder, isolation):
    def configured():
        regatta.configure(folder, "rust", isolation=isolation)

    return [
        regatta.cold(folder, 2, f"regatta {isolation}, cold", before=configured),
        regatta.warm(folder, 2, f"regatta {isolation}, warm", before=configured),
    ]
