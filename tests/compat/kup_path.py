# SPDX-License-Identifier: MIT
"""kup_path.py - the two ways of kup.py to a broker: datagrams that go wrong on purpose, and the Kafka connection."""
import heapq
import select
import socket

import kup_wire as w


class Refused(Exception):
    """The broker said no for good, or is not Kira."""


class Wire:
    """A UDP socket whose datagrams get lost, doubled and late on purpose, in both directions."""

    def __init__(self, host, rng, loss=0.0, dup=0.0, reorder=0.0):
        v6 = ":" in host
        self.sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
        # DF always: IP(V6)_MTU_DISCOVER = PROBE; a datagram beyond the interface's MTU is refused here.
        self.sock.setsockopt(*((41, 23, 3) if v6 else (socket.IPPROTO_IP, 10, 3)))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.sock.bind((host, 0))
        self.sock.setblocking(False)
        self.rng, self.rate = rng, (loss, dup, reorder)
        self.late, self.n = [], 0
        self.done = {"lost": 0, "doubled": 0, "reordered": 0}

    def _copies(self, what, out, now):
        """What of a datagram goes on at once; later copies are put aside."""
        loss, dup, reorder = self.rate
        if self.rng.random() < loss:
            self.done["lost"] += 1
            return []
        copies = [what]
        if self.rng.random() < dup:
            self.done["doubled"] += 1
            copies.append(what)
        for _ in range(len(copies)):
            if self.rng.random() < reorder:
                self.done["reordered"] += 1
                self.n += 1
                heapq.heappush(self.late, (now + self.rng.uniform(0.0002, 0.004), self.n, out, copies.pop()))
        return copies

    def _out(self, datagram, to):
        try:
            self.sock.sendto(datagram, to)
        except OSError:         # too large for the interface, no buffer: as if lost
            pass

    def send(self, datagram, to, now):
        for copy in self._copies((datagram, to), True, now):
            self._out(*copy)

    def receive(self, now):
        """What has come by now: [(datagram, from)]."""
        got = []
        while self.late and self.late[0][0] <= now:
            _, _, out, what = heapq.heappop(self.late)
            if out:
                self._out(*what)
            else:
                got.append(what)
        while True:
            try:
                got += self._copies(self.sock.recvfrom(2048), False, now)
            except BlockingIOError:
                return got
            except OSError:     # an ICMP error of before
                continue


class Tcp:
    """The Kafka connection of set-up; it stays open as the session's anchor."""

    def __init__(self, host, port):
        self.sock = socket.create_connection((host, port), timeout=10)
        self.correlation = 0

    def ask(self, key, version, body):
        self.correlation += 1
        self.sock.sendall(w.request(key, version, self.correlation, body))
        size = int.from_bytes(self._exactly(4), "big")
        correlation, reader = w.parse_response(self._exactly(size))
        if correlation != self.correlation:
            raise Refused("answer %d to request %d" % (correlation, self.correlation))
        return reader

    def _exactly(self, n):
        out = b""
        while len(out) < n:
            more = self.sock.recv(n - len(out))
            if not more:
                raise ConnectionError("closed")
            out += more
        return out

    def died(self):
        if not select.select([self.sock], [], [], 0)[0]:
            return False
        try:
            return self.sock.recv(1) == b""
        except OSError:
            return True
