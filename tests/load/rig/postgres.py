"""A throw-away PostgreSQL server: tuned as people tune one for tests, which is what the peers get that have no Regatta; or durable, to
keep what a coordinator must not forget."""

import ctypes
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path


_QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}


def _programs():
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    for folder in sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True):
        return Path(folder)
    raise RuntimeError("no initdb: install PostgreSQL's server programs")


def program(name):
    """Where one of PostgreSQL's programs is."""
    return _programs() / name


def _user():
    """PostgreSQL does not run as root."""
    if os.getuid() != 0:
        return {}
    entry = pwd.getpwnam("postgres")
    return {"user": entry.pw_uid, "group": entry.pw_gid}


def _die_with_parent():
    """A process that is killed must not leave its server behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


def _port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """Started by `with`, and gone after it."""

    def __init__(self, connections=300, durable=False):
        self.connections, self.durable = connections, durable

    def __enter__(self):
        memory = "/dev/shm" if os.path.isdir("/dev/shm") and not self.durable else None
        self.folder = Path(tempfile.mkdtemp(prefix="peer-pg-", dir=memory))
        user = _user()
        if user:
            os.chown(self.folder, user["user"], user["group"])
        words = [_programs() / "initdb", "-D", self.folder / "data", "-A", "trust", "-U", "postgres", "-N"]
        subprocess.run(words, check=True, **_QUIET, **user)
        self.port = _port()
        return self.start()

    def start(self):
        """Starts it, also once more after `kill` or `stop`; returns when it takes connections."""
        settings = {
            "max_connections": self.connections,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "port": self.port,
        }
        if not self.durable:
            settings |= dict.fromkeys(("fsync", "full_page_writes", "synchronous_commit", "autovacuum"), "off")
        flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        words = [_programs() / "postgres", "-D", self.folder / "data", *flags]
        with open(self.folder / "log", "ab") as log:
            told = {"stdout": log, "stderr": log, "cwd": "/"}
            self.process = subprocess.Popen(words, preexec_fn=_die_with_parent, **told, **_user())
        deadline = time.monotonic() + 30
        while True:
            try:
                ready = [_programs() / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
                subprocess.run(ready, check=True, **_QUIET)
                return self
            except subprocess.CalledProcessError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    log = (self.folder / "log").read_text(errors="replace")[-1500:]
                    self.__exit__()
                    raise RuntimeError(f"PostgreSQL did not come up: {log}") from None
                time.sleep(0.01)

    def stop(self, how=signal.SIGINT):
        """Ends it: by SIGINT as a planned restart does, by SIGQUIT as a crash would, but without orphans."""
        self.process.send_signal(how)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def url(self, database="postgres"):
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def __exit__(self, *_):
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)
