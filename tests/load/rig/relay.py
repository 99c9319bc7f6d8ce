"""A wire between a process and its server that can be cut: nothing comes through any more, and nobody is told."""

import selectors
import socket
import threading


class Relay:
    """Carries connections to `target` (host, port) until it is cut, and again when it is mended."""

    def __init__(self, target):
        self.target, self.whole, self.peers = target, True, {}
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "%s:%d" % self.listener.getsockname()
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.ended = False
        self.thread = threading.Thread(target=self._carry, daemon=True)
        self.thread.start()

    def cut(self):
        self.whole = False

    def mend(self):
        """What was under way is lost: connections that were cut are closed, and new ones come through."""
        with self.lock:
            for end in list(self.peers):
                self._close(end)
            self.whole = True

    def end(self):
        self.ended = True
        self.thread.join()
        with self.lock:
            for end in list(self.peers):
                self._close(end)
        self.listener.close()
        self.selector.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def _carry(self):
        while not self.ended:
            for key, _ in self.selector.select(0.05):
                with self.lock:
                    if key.fileobj is self.listener:
                        self._take()
                    elif key.fileobj in self.peers:
                        self._pass_on(key.fileobj)

    def _take(self):
        near, _ = self.listener.accept()
        if not self.whole:
            # As a packet that is dropped: it is taken by the system, and nobody answers.
            self.peers[near] = None
            return
        try:
            far = socket.create_connection(self.target)
        except OSError:
            near.close()
            return
        self.peers[near], self.peers[far] = far, near
        for end in (near, far):
            self.selector.register(end, selectors.EVENT_READ)

    def _pass_on(self, end):
        if not self.whole:
            # Nobody reads: what is said waits where it is, for ever.
            self.selector.unregister(end)
            return
        try:
            said = end.recv(1 << 16)
            if said:
                self.peers[end].sendall(said)
                return
        except OSError:
            pass
        self._close(end)

    def _close(self, end):
        other = self.peers.pop(end, None)
        for one in (end, other):
            if one is None:
                continue
            self.peers.pop(one, None)
            try:
                self.selector.unregister(one)
            except (KeyError, ValueError):
                pass
            one.close()
