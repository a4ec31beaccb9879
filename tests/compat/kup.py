#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kup.py - a client of the Kira produce protocol, written from dataplane/PROTOCOL.md alone (section numbers are its).

Python's standard library, kup_wire.py (bytes), kup_path.py (sockets); one thread, idempotent batches, any number of
partitions, levels log and disk; congestion control is section 8's minimum, without pacing. Not here: FRAG, MAC, TCP
Produce, raising an epoch, the wrap of packet numbers at 2^32. Written to be read, and to find out whether the page
says enough. Started as a program it sends lines PARTITION:TEXT of its standard input; --loss, --dup and --reorder let
its own wire go wrong, both ways. kup_veth.py runs it."""
import argparse
import bisect
import os
import random
import select
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kup_wire as w
from kup_path import Refused, Tcp, Wire

SIZES = (8972, 8952, 1472, 1452, 1392, 1200)
PTO_MIN, PTO_MAX, PROBES, UDP_DEAD = 0.002, 1.0, 5, 10.0
RETRY_LATER, RETRY_ALONE, RETRY_NOW = (20, 56), 45, 2


def microseconds(now):
    return round(now * 1e6)


class Batch:
    def __init__(self, partition, sequence, payload, count):
        self.partition, self.sequence, self.payload, self.count = partition, sequence, payload, count
        self.alone = False      # 45: again once all before it are final
        self.not_before = 0.0

    def __lt__(self, other):                    # of one partition: 0 follows 2^31 - 1
        return (self.sequence - other.sequence) & 0x7FFFFFFF >= 1 << 30


class Packet:
    """A pkt_seq of this session."""

    def __init__(self, batch):
        self.batch = batch
        self.times, self.numbers = [], []       # of its transmissions; numbers count all of the session's
        self.received = self.lost = self.was_lost = False
        self.error = None                       # its result


class Session:
    """What a grant says and the window over it; dies with the session."""

    def __init__(self, grant, now):
        self.__dict__.update(grant)
        self.log_seq = self.disk_seq = 0
        self.next_seq, self.ack_num, self.err_total, self.failures = 1, 0, 0, 0
        self.packets, self.drain, self.hold_until = {}, False, 0.0
        self.transmissions = self.newest_number = 0     # transmissions, and the newest that is known to have come
        self.cwnd, self.ssthresh, self.recovery_end, self.acc, self.was_full = 10, self.window, 0, 0, False
        self.srtt, self.var, self.r, self.measured, self.last_echo = 0.05, 0.0, 0.0, False, None
        self.reorder, self.probes = 3, 0
        self.opened = self.last = self.heard = self.asked = self.last_query = self.last_sent = now
        self.size, self.pings, self.pinged = 0, {}, 0
        self.handle = self.topics[0]["handle"]

    def pto(self):
        return min(max(self.srtt + max(4 * self.var, 0.001) + self.ack_delay_us / 1e6, PTO_MIN) * 2 ** self.probes, PTO_MAX)

    def in_flight(self):
        return sum(1 for p in self.packets.values() if not p.received and not p.lost)

    def oldest_unknown(self):
        return min((q for q, p in self.packets.items() if p.error is None), default=self.next_seq)


class Producer:
    def __init__(self, host, port, topic, wire, level="log", linger=5000):
        self.where, self.topic, self.wire = (host, port), topic, wire
        self.disk, self.limit = level == "disk", linger
        self.todo, self.sequence = {}, {}       # by partition: batches to send, sorted; next sequence
        self.waiting = 0                        # batches not at their level
        self.records_done = self.sessions = self.resent = self.errors = self.already = 0
        self.session = self.tcp = None
        self.tcp = Tcp(host, port)
        error, self.producer_id, self.epoch = w.parse_producer_id(
            self.tcp.ask(w.INIT_PRODUCER_ID, 3, w.init_producer_id()))
        if error:
            raise Refused("InitProducerId: error %d" % error)

    # ---- what a program calls
    def produce(self, partition, values):
        sequence = self.sequence.get(partition, 0)
        self.sequence[partition] = (sequence + len(values)) & 0x7FFFFFFF
        payload = w.record_batch(values, self.producer_id, self.epoch, sequence, int(time.time() * 1000))
        self.todo.setdefault(partition, []).append(Batch(partition, sequence, payload, len(values)))
        self.waiting += 1

    def close(self):
        while self.waiting:
            self.turn()
        s, self.session = self.session, None
        for _ in range(3 if s else 0):
            self.wire.send(w.close(s.session_id, s.secret, 1), (s.udp_host, s.udp_port), time.monotonic())
            end = time.monotonic() + s.pto()
            while time.monotonic() < end:
                for d, _ in self.wire.receive(time.monotonic()):
                    got = w.parse(d, s.session_id, s.secret)
                    if got and got[0] == w.RESET:
                        self.tcp.sock.close()
                        return got[1]["reason"]
                select.select([self.wire.sock], [], [], 0.001)
        self.tcp.sock.close()
        return None

    # ---- set-up (sections 2, 5.2)
    def open(self, same=False):
        s = self.session
        address, port = self.wire.sock.getsockname()[:2]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            if self.tcp is None:
                self.tcp = Tcp(*self.where)
            a = w.parse_session(self.tcp.ask(w.OPEN_SESSION, 0, w.open_session(
                [(self.topic, True)], s.session_id if same else 0, s.secret if same else 0,
                socket.inet_pton(family, address), port, 8972, 256, w.WANT_OFFSETS | (w.WANT_DISK if self.disk else 0))))
        except OSError:
            self.tcp = None
            time.sleep(0.05)
            return False
        if a["error_code"] == 89:
            time.sleep(a["throttle_time_ms"] / 1000)
        elif a["error_code"] == 70 and same:
            self.lost()
        elif a["error_code"] or a["topics"][0]["error_code"]:
            raise Refused("OpenSession: %r" % a)
        elif same:
            s.udp_port = a["udp_port"]
        else:
            self.session, self.sessions = Session(a, time.monotonic()), self.sessions + 1
            return True
        return False

    def lost(self):
        """The session is gone: all that is not at its level goes again, lowest sequence first."""
        s, self.session = self.session, None
        for p in s.packets.values():
            if p.batch:
                self.again(p.batch)

    def again(self, batch):
        self.resent += 1
        bisect.insort(self.todo.setdefault(batch.partition, []), batch)

    # ---- one turn
    def turn(self):
        now = time.monotonic()
        if self.session is None and not self.open():
            return
        s = self.session
        for d, source in self.wire.receive(now):
            self.datagram(s, d, source, now)
            if self.session is not s:
                return
        if self.tcp and self.tcp.died():
            self.tcp = None
        if self.tcp is None or s.probes >= PROBES and now - s.asked > 1:
            s.asked = now
            self.open(same=True)
            if self.session is not s or self.tcp is None:
                return
            if s.probes >= PROBES and now - s.heard > UDP_DEAD:
                raise Refused("UDP is dead, TCP is not: TCP Produce")
        self.find_lost(s, now)
        if not self.send(s, now):
            select.select([self.wire.sock, self.tcp.sock], [], [], 0.0005 if self.wire.late else 0.002)

    def put(self, s, datagram, now):
        s.last_sent = now
        self.wire.send(datagram, (s.udp_host, s.udp_port), now)

    def transmit(self, s, seq, now, flags=0):
        p = s.packets[seq]
        s.transmissions += 1
        p.times.append(now)
        p.numbers.append(s.transmissions)
        p.lost = False
        s.last = now
        self.put(s, w.data(s.session_id, s.secret, seq, microseconds(now), s.handle, p.batch.partition, p.batch.payload,
                           flags, len(p.times) - 1), now)

    def next_batch(self, s, now):
        room = max(s.size, w.BASE) - 32
        for partition, batches in self.todo.items():
            if not batches or batches[0].not_before > now:
                continue
            b = batches[0]
            # Once round, number 0 waits too: a broker whose state expired would take it for a first batch (section 6).
            if (b.alone or b.sequence == 0) and any(p.batch.partition == partition and p.batch < b
                                                    for p in s.packets.values() if p.error is None):
                continue
            if len(b.payload) > room:
                if s.size:
                    raise Refused("a batch of %d bytes needs TCP Produce" % len(b.payload))
                continue
            del self.todo[partition], batches[0]
            if batches:
                self.todo[partition] = batches      # at the end: the next one is another partition's turn
            return b
        return None

    def send(self, s, now):
        """Whatever may go now (sections 7, 8)."""
        sent, flight = 0, s.in_flight()
        room = s.cwnd if now - s.heard <= s.credit_lease_ms / 1000 else 2      # 2: the credit may have lapsed
        for seq in sorted(q for q, p in s.packets.items() if p.lost):
            if flight < room and seq <= s.credit_limit:
                self.transmit(s, seq, now)
                flight, sent = flight + 1, sent + 1
        while not s.drain and now >= s.hold_until and flight < room and s.next_seq <= s.credit_limit \
                and s.next_seq - s.oldest_unknown() < s.window:
            b = self.next_batch(s, now)
            if b is None:
                break
            s.packets[s.next_seq] = Packet(b)
            self.transmit(s, s.next_seq, now)
            s.next_seq, flight, sent = s.next_seq + 1, flight + 1, sent + 1
        s.was_full = s.was_full or flight >= s.cwnd
        self.path_size(s, now)
        unreceived = [q for q, p in s.packets.items() if not p.received]
        if unreceived and now - s.last > s.pto():
            if s.probes >= 3:
                s.cwnd = 2
            s.probes += 1
            self.transmit(s, min(unreceived), now, w.ACK_NOW)
        unknown = [q for q, p in s.packets.items() if p.error is None and q <= s.log_seq]
        if unknown and s.err_total != s.failures and now - s.last_query > s.pto():
            s.last_query = now
            count = min(max(unknown) - min(unknown) + 1, 1024)
            self.put(s, w.query(s.session_id, s.secret, min(unknown), count, w.ACK_MAX), now)
        elif s.packets and not unreceived and now - s.last_sent > max(s.pto(), 1) or now - s.last_sent > s.keepalive_s:
            self.put(s, w.ping(s.session_id, s.secret, 0, microseconds(now), w.ACK_NOW), now)
        return sent

    def path_size(self, s, now):
        """The first size that a PONG confirms; each is asked for up to 3 times."""
        if s.size or now - s.pinged < s.pto():
            return
        for n, size in enumerate(SIZES):
            if size <= s.max_dgram and s.pings.get(size, 0) < 3:
                s.pings[size] = s.pings.get(size, 0) + 1
                s.pinged = now
                self.put(s, w.ping(s.session_id, s.secret, 1 + n, microseconds(now), size=size), now)
                return
        if now - s.opened > UDP_DEAD:
            raise Refused("not even 1,200 bytes get through: TCP Produce")
        s.pings = {}

    # ---- what the broker says
    def datagram(self, s, d, source, now):
        got = w.parse(d, s.session_id, s.secret) if source[:2] == (s.udp_host, s.udp_port) else None
        if got is None:
            return
        kind, f = got
        s.heard, s.probes = now, 0
        if kind == w.PONG:
            self.rtt(s, (microseconds(now) - f["ts_echo"] & 0xFFFFFFFF) / 1e6)
            s.size = s.size or (f["received_len"] if f["id"] else 0)
        elif kind == w.RESET and f["incarnation"] == s.incarnation:
            self.lost()
        elif kind == w.ACK:
            self.ack(s, f, now)

    def rtt(self, s, r):
        s.r = r
        if not s.measured:
            s.srtt, s.var, s.measured = r, r / 2, True
        else:
            s.var += (abs(s.srtt - r) - s.var) / 4
            s.srtt += (r - s.srtt) / 8

    def ack(self, s, f, now):
        covered = {f["log_seq"] + 1 + 64 * i + bit for i, word in enumerate(f["sack"]) for bit in range(64) if word >> bit & 1}
        for first, count, error, _, _, _ in f["results"]:
            for seq in range(first, first + count):
                covered.add(seq)
                p = s.packets.get(seq)
                if p and p.error is None:
                    p.error = error
                    s.failures += error != 0
        newest = f["ack_num"] > s.ack_num
        if newest:
            s.ack_num, s.err_total, s.credit_limit = f["ack_num"], f["err_total"], f["credit_limit"]
            s.log_seq, s.disk_seq = max(s.log_seq, f["log_seq"]), max(s.disk_seq, f["disk_seq"])
            s.drain = bool(f["flags"] & w.DRAIN)
            s.hold_until = now + f["throttle_ms"] / 1000
            s.last = now
            if f["ts_echo"] != s.last_echo and f["ts_echo"] and f["echo_delay_us"] < 65535:
                s.last_echo = f["ts_echo"]
                self.rtt(s, ((microseconds(now) - f["ts_echo"] & 0xFFFFFFFF) - f["echo_delay_us"]) / 1e6)
        covered |= {q for q in s.packets if q <= s.log_seq}
        fresh, late = 0, False
        for seq in covered:
            p = s.packets.get(seq)
            if p is None or p.received:
                continue
            # Which copy came? The last one, if its time is echoed; else it is evidence by the first.
            last = len(p.times) == 1 or newest and f["ts_echo"] == microseconds(p.times[-1]) & 0xFFFFFFFF
            late = late or p.lost or newest and p.was_lost and not last \
                and (f["ts_echo"] - microseconds(p.times[-1])) & 0x80000000 != 0
            if p.numbers[-last] > s.newest_number:
                s.newest_number = p.numbers[-last]
            p.received, p.lost = True, False
            fresh += seq > s.recovery_end
        if late:
            s.reorder = min(2 * s.reorder, s.window)
        if fresh and s.was_full:
            if s.cwnd < s.ssthresh:
                s.cwnd += fresh
            else:
                s.acc += fresh
                if s.acc >= s.cwnd:
                    s.acc, s.cwnd = s.acc - s.cwnd, s.cwnd + 1
            s.cwnd, s.was_full = min(s.cwnd, s.window), False
        self.finish(s, now)

    def find_lost(self, s, now):
        slow = max((1 + min(s.reorder // 3, 8) / 8) * max(s.srtt, s.r), 0.001)
        for seq, p in s.packets.items():
            if p.received or p.lost or p.numbers[-1] >= s.newest_number:
                continue
            if s.newest_number - p.numbers[-1] >= s.reorder or now - p.times[-1] > slow:
                p.lost = p.was_lost = True
                if seq > s.recovery_end:
                    s.recovery_end, s.acc = s.next_seq - 1, 0
                    s.ssthresh = s.cwnd = max(s.cwnd // 2, 2)

    def finish(self, s, now):
        """Batches whose outcome is known, and who are at their level (section 7)."""
        told = s.err_total == s.failures
        for seq in sorted(s.packets):
            p = s.packets[seq]
            if p.error is None and seq <= s.log_seq and told:
                p.error = 0
            if p.error is None:
                continue
            if p.error in (0, 46):
                if self.disk and seq > s.disk_seq:
                    continue
                self.already += p.error == 46
                self.waiting -= 1
                self.records_done += p.batch.count
            elif p.error in (RETRY_NOW, RETRY_ALONE, *RETRY_LATER):
                if p.error == RETRY_ALONE and p.batch.alone:
                    raise Refused("the broker lost what it had acked, or forgot the producer: partition %d" % p.batch.partition)
                self.errors += 1
                p.batch.alone = p.error == RETRY_ALONE
                p.batch.not_before = now + (0.1 if p.error in RETRY_LATER else 0)
                self.again(p.batch)
            else:
                raise Refused("error %d of sequence %d, partition %d" % (p.error, p.batch.sequence, p.batch.partition))
            del s.packets[seq]


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--bootstrap", required=True, help="HOST:PORT of the Kafka port")
    args.add_argument("--topic", required=True)
    args.add_argument("--address", required=True, help="source address of the datagrams")
    args.add_argument("--level", choices=("log", "disk"), default="log")
    args.add_argument("--batch", type=int, default=10, help="records in a batch")
    for name in ("loss", "dup", "reorder"):
        args.add_argument("--" + name, type=float, default=0.0, help="share of datagrams, each way")
    args.add_argument("--seed", type=int, default=1)
    args = args.parse_args()
    host, port = args.bootstrap.rsplit(":", 1)
    wire = Wire(args.address, random.Random(args.seed), args.loss, args.dup, args.reorder)
    producer = Producer(host.strip("[]"), int(port), args.topic, wire, args.level)
    open_batches, told = {}, 0.0
    for line in sys.stdin.buffer:
        partition, value = line.rstrip(b"\n").split(b":", 1)
        values = open_batches.setdefault(int(partition), [])
        values.append(value)
        if len(values) >= args.batch:
            producer.produce(int(partition), open_batches.pop(int(partition)))
    for partition, values in open_batches.items():
        producer.produce(partition, values)
    while producer.waiting:
        producer.turn()
        if time.monotonic() - told > 0.01:
            told = time.monotonic()
            print("at their level: %d" % producer.records_done, flush=True)
    reason = producer.close()
    print("done: records %d, sessions %d, sent again as new packets %d, failed results %d, already there %d, reset %s, "
          "lost %d, doubled %d, reordered %d" % (producer.records_done, producer.sessions, producer.resent, producer.errors,
          producer.already, reason, wire.done["lost"], wire.done["doubled"], wire.done["reordered"]), flush=True)


if __name__ == "__main__":
    main()
