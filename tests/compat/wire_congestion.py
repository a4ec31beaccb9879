# SPDX-License-Identifier: MIT
"""wire_congestion.py - PROTOCOL.md 8 as traces: ACKs with times in, and what kup.py then sends and thinks.

For wire_vectors.py. libkira's window is held to them (tests/unit/client/congestion_ut.c)."""
import kup
import kup_wire as w
import wire_text

WINDOW, CREDIT, BEGIN = 64, 500, 1.0
GRANT = dict(session_id=wire_text.SID, secret=wire_text.SECRET, incarnation=wire_text.INCARNATION, udp_host="10.77.0.1", udp_port=9104,
             window=WINDOW, credit_limit=CREDIT, ack_delay_us=50, credit_lease_ms=200, keepalive_s=10, topics=[{"handle": 1}])


class Ear:
    """A wire that only listens: the pkt_seq of each DATA."""

    def __init__(self):
        self.sent = []

    def send(self, datagram, to, now):
        if datagram[1] & 15 == w.DATA:
            self.sent.append(int.from_bytes(datagram[16:20], "big"))


class Trace:
    def __init__(self):
        self.lines, self.n, self.wire = [], 0, Ear()
        self.p = kup.Producer.__new__(kup.Producer)
        self.p.wire, self.p.disk, self.p.waiting = self.wire, False, 1000
        self.p.records_done = self.p.already = 0
        self.p.todo = {0: [kup.Batch(0, n, b"", 1) for n in range(1000)]}
        self.p.session = self.s = kup.Session(GRANT, BEGIN)
        self.s.size = 1472

    def after(self):
        s = self.s
        lost = sum(1 for p in s.packets.values() if p.lost)
        self.lines.append(("after", "%d %d %d %d %d %d %d %d" % (s.cwnd, s.ssthresh, s.reorder, s.in_flight(), lost, round(s.srtt * 1e6),
                                                               round(s.var * 1e6), round(s.pto() * 1e6))))

    def send(self, us):
        now = BEGIN + us / 1e6
        self.wire.sent.clear()
        self.p.find_lost(self.s, now)
        while self.p.send(self.s, now):
            pass
        self.lines.append(("event", "%d send" % us))
        self.lines.append(("sent", " ".join(map(str, self.wire.sent)) or "-"))
        self.after()

    def turn(self, us, *ack):
        self.ack(us, *ack)
        self.send(us)

    def ack(self, us, log, top, sent_at, delay=0, received=()):
        """sent_at: when the DATA whose tx_ts it echoes was sent. received: above log."""
        now, self.n = BEGIN + us / 1e6, self.n + 1
        words = [0] * ((top - log + 63) // 64)
        for seq in received:
            words[(seq - log - 1) // 64] |= 1 << (seq - log - 1) % 64
        echo = round(BEGIN * 1e6) + sent_at
        self.p.datagram(self.s, w.ack(wire_text.SID, wire_text.SECRET, (log, 0, 0, CREDIT, top, 0, echo, delay, 0, 0, self.n), words),
                        ("10.77.0.1", 9104), now)
        self.p.find_lost(self.s, now)
        self.lines.append(("event", "%d ack %d %d %d %d %s" % (us, log, top, echo, delay, " ".join("0x%x" % word for word in words))))
        self.after()


def slow_start(t):
    t.send(0)
    t.turn(1000, 5, 5, 0, 100)
    t.turn(2000, 10, 10, 0, 100)
    t.ack(3000, 20, 20, 1000, 40)
    t.send(3100)
    t.ack(4100, 50, 50, 3100, 0)
    t.send(4200)


def overtaken(t):
    """3 is lost: 4, 5, 6 overtake it."""
    t.send(0)
    t.turn(1000, 2, 5, 0, 50, [4, 5])
    t.turn(1100, 2, 6, 0, 50, [4, 5, 6])
    t.turn(2000, 2, 14, 1000, 0, range(4, 15))
    t.turn(3000, 18, 20, 2000, 0, [20])
    t.turn(4000, 21, 21, 3000, 20)
    t.turn(5000, 25, 25, 4000, 0)
    t.turn(6100, 31, 31, 5000, 0)


def late(t):
    """1 is overtaken by one packet only, and is lost by its age; the others come, then 11 before 12."""
    t.send(0)
    t.turn(1000, 0, 2, 0, 0, [2])
    t.send(1120)
    t.send(1130)
    t.turn(1140, 0, 10, 0, 50, range(2, 11))
    t.turn(2200, 11, 11, 1140, 0)


def late_not_sent_again(t):
    """1 was declared lost, waits for room to be sent again, and comes: the threshold doubles. 11 is overtaken by one and is
    waited for longer than at first."""
    t.send(0)
    t.turn(1000, 0, 4, 0, 0, [2, 3, 4])
    t.turn(1300, 10, 10, 0, 200)
    t.turn(2400, 10, 12, 1300, 0, [12])
    for us in (2500, 2600, 2700, 2800):
        t.send(us)


def late_sent_again(t):
    """1 is sent again, and what comes is the earlier copy: it doubles. 11 is sent again, and that copy comes: it does not."""
    t.send(0)
    t.turn(1000, 0, 10, 0, 0, range(2, 11))
    t.turn(1100, 10, 10, 0, 200)
    t.turn(2200, 10, 18, 1000, 0, range(12, 19))
    t.turn(3300, t.s.next_seq - 1, t.s.next_seq - 1, 2200, 0)


def probes(t):
    """Nothing is answered: probes at doubling distance; when the third went unanswered cwnd falls to 2."""
    t.send(0)
    at = 0
    for _ in range(4):
        at += round(t.s.pto() * 1e6) + 1
        t.send(at)
    t.turn(at + 700, 10, 10, at, 0)


def vectors():
    for make, what in ((slow_start, "slow start to the window"), (overtaken, "a loss seen by overtaking, one cut, then growth by acc"),
                       (late, "a loss seen by time"), (late_not_sent_again, "a loss that was none, before it was sent again"),
                       (late_sent_again, "a retransmission that was not needed, and one that was"), (probes, "probes, and the answer")):
        t = Trace()
        make(t)
        yield wire_text.vector(make.__name__, what, b"", [("window", WINDOW), ("credit", CREDIT)] + t.lines)
