"""A throw-away PostgreSQL server, tuned as people tune one for tests: what the peers get that have no Regatta."""

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


def _programs():
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    for folder in sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True):
        return Path(folder)
    raise RuntimeError("no initdb: install PostgreSQL's server programs")


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

    def __init__(self, connections=300):
        self.connections = connections

    def __enter__(self):
        memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
        self.folder = Path(tempfile.mkdtemp(prefix="peer-pg-", dir=memory))
        user = _user()
        if user:
            os.chown(self.folder, user["user"], user["group"])
        programs, data = _programs(), self.folder / "data"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
        subprocess.run(
            [programs / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "-N"], check=True, **quiet, **user
        )
        self.port = _port()
        settings = {
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "autovacuum": "off",
            "max_connections": self.connections,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "port": self.port,
        }
        flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.process = subprocess.Popen(
            [programs / "postgres", "-D", data, *flags], preexec_fn=_die_with_parent, **quiet, **user
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                ready = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
                subprocess.run(ready, check=True, **quiet)
                return self
            except subprocess.CalledProcessError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    self.__exit__()
                    raise
                time.sleep(0.01)

    def url(self, database="postgres"):
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGQUIT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
