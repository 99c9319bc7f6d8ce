"""Things of which only one may be used at a time, and the fence in front of each: who came in under which token, and who was shut out."""

import contextlib
import socketserver
import threading
import time


class Things:
    """What is leased: it remembers the greatest token it has seen, and writes everything down."""

    def __init__(self):
        self.lock = threading.Lock()
        self.newest, self.inside, self.last, self.takeovers = {}, {}, {}, []
        self.accesses = self.refused = self.overlaps = self.stale = 0
        #: Who was let in last, of each thing.
        self.holders = {}
        #: When each token was last seen of, let in or not, in seconds since the epoch.
        self.seen = {}

    def hear(self, what, name, token, who=None):
        token = int(token)
        with self.lock:
            now = time.monotonic()
            self.seen[token] = time.time()
            newest = self.newest.get(name, 0)
            if token < newest:
                self.refused += 1
                return f"token {token} is older than {newest}"
            self.accesses += 1
            holder = self.inside.get(name)
            if what == "begin":
                # Somebody else is inside whose token is as good: that is what must never be.
                self.overlaps += holder is not None and holder >= token
                if holder is not None:
                    self.takeovers.append(now - self.last[name])
                self.newest[name], self.inside[name], self.holders[name] = token, token, who
            elif holder != token:
                self.stale += 1
            elif what == "end":
                del self.inside[name], self.holders[name]
            self.last[name] = now
            return "ok"


class _Handler(socketserver.StreamRequestHandler):
    def handle(self):
        words = self.rfile.readline().decode().split()
        # A test that was killed may have said nothing.
        if len(words) < 3:
            return
        answer = self.server.things.hear(*words)
        # Or is killed before it hears the answer.
        with contextlib.suppress(ConnectionError):
            self.wfile.write(f"{answer}\n".encode())


def serve(things, socket=None):
    """Lets tests reach the things: by TCP on this machine, or by a socket in the file system, which crosses network namespaces."""
    if socket is None:
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Handler)
    else:
        server = socketserver.ThreadingUnixStreamServer(str(socket), _Handler)
    server.things, server.daemon_threads = things, True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
