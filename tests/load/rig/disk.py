"""A small disk of its own: it can fill up, grow slow, and refuse. An ext4 file system in a file in memory; needs root.

Nothing else of the machine has to do with it, so a fault of it is nobody else's.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

#: Where Linux slows down single disks (the first version of cgroups; the second has `io.max`, which needs a group of its own).
THROTTLE = Path("/sys/fs/cgroup/blkio/blkio.throttle.write_iops_device")


class Unable(Exception):
    """This machine does not allow it."""


def _run(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode != 0:
        raise Unable(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stdout.strip()


class Disk:
    """Mounted by `with`, and gone after it."""

    def __init__(self, megabytes=64):
        if os.getuid() != 0:
            raise Unable("a disk of our own needs root")
        self.megabytes = megabytes

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="disk-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
        self.path, self.image = self.folder / "disk", self.folder / "image"
        self.path.mkdir()
        try:
            with open(self.image, "wb") as image:
                image.truncate(self.megabytes << 20)
            # No room is kept for root, which would find some on a full disk.
            _run("mkfs.ext4", "-q", "-F", "-m", "0", self.image)
            self.mount()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "--lazy", self.path], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def mount(self):
        _run("mount", "-o", "loop,errors=remount-ro", self.image, self.path)
        device = os.stat(self.path).st_dev
        self.number = f"{os.major(device)}:{os.minor(device)}"

    def fill(self):
        """Takes all the room there is, to the last byte."""
        with open(self.path / "filler", "ab", buffering=0) as filler:
            for size in (1 << 20, 4096, 1):
                try:
                    while filler.write(bytes(size)) == size:
                        pass
                except OSError:
                    continue

    def empty(self):
        (self.path / "filler").unlink()

    def slow(self, writes):
        """So many writes a second from now on; 0 for as many as it can."""
        if not THROTTLE.exists():
            raise Unable(f"no {THROTTLE}")
        THROTTLE.write_text(f"{self.number} {writes}\n")

    def refuse(self):
        """From now on it takes no write, as disks do that have failed."""
        _run("mount", "-o", "remount,abort", self.path)

    def again(self):
        """After `refuse`: takes writes once more. Nobody may have a file open on it."""
        _run("umount", self.path)
        # It says by its exit code that it mended something.
        subprocess.run(["e2fsck", "-fy", self.image], capture_output=True)
        self.mount()
