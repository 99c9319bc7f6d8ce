"""Rust tests as people run them: `cargo test` (threads of one process) and cargo-nextest (a process for each test)."""

import subprocess

from .measure import Column, Failed
from .places import SETUP, environment

NEXTEST = "0.9.151"


def nextest():
    """The path of the pinned cargo-nextest, built on first use."""
    made = subprocess.run([str(SETUP / "tool"), "cargo-nextest", NEXTEST], stdout=subprocess.PIPE, text=True)
    if made.returncode:
        raise Failed(f"cargo-nextest {NEXTEST} could not be installed")
    return made.stdout.strip()


def columns(folder, processes):
    """A column for each; the crate is built first, so that none of them has to."""
    built = subprocess.run(["cargo", "test", "--no-run", "--quiet"], cwd=folder, env=environment(), capture_output=True)
    if built.returncode:
        raise Failed(f"cargo could not build {folder}\n{built.stderr.decode(errors='replace')}")
    run = [nextest(), "nextest", "run", "-j", str(processes), "--no-fail-fast"]
    return [
        Column("cargo test", "cargo test", ["cargo", "test", "--", "--test-threads", str(processes)], folder),
        Column(f"nextest -j {processes}", "nextest", run, folder),
    ]
