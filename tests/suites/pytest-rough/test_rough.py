"""Tests that do to their process what tests ought not to do."""

import ctypes
import os
import signal
import sys
import time


def test_before():
    pass


def test_segfaults():
    ctypes.string_at(0)


def test_aborts():
    os.abort()


def test_leaves_quietly():
    os._exit(0)


def test_is_killed():
    os.kill(os.getpid(), signal.SIGKILL)


def test_closes_everything():
    os.closerange(3, 4096)


def test_closes_its_output():
    sys.stdout.close()
    sys.stderr.close()


def test_closes_its_streams():
    os.close(1)
    os.close(2)


def test_hangs():
    wait_for_ever()


def wait_for_ever():
    while "FIXTURE_HANGS" in os.environ:
        time.sleep(0.01)


def test_prints_much():
    line = "x" * 999 + "\n"
    for _ in range(100_000):
        sys.stdout.write(line)
    assert False, "and fails"


def test_prints_nonsense():
    os.write(1, b"bad \xff\xfe and \x00 zero")
    print("lone \udcff surrogate")
    assert False, "with \udc80 and \x00"


def test_forks_a_daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            with open(os.environ["FIXTURE_PID"], "w") as file:
                file.write(str(os.getpid()))
            time.sleep(600)
        os._exit(0)
    os.wait()


def test_forks_and_comes_back():
    if os.fork() == 0:
        # Into the runner of tests, which must not go on in the child.
        return
    os.wait()


def test_recurses():
    def deep():
        deep()

    deep()


def test_moves():
    os.chdir("/")
    os.environ.clear()
    os.environ["PATH"] = "/nowhere"


def test_touches_signals():
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def test_after():
    pass


def test_is_forked():
    with open("/proc/%d/cmdline" % os.getppid()) as file:
        forked = "regatta_host" in file.read()
    assert forked == (int(os.environ["REGATTA_SLOTS"]) > 1)
