#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --sessions 96 --partitions 200 --blocks 1 --seconds 2 --gate 2.5
# long: --sessions 768 --partitions 1000 --blocks 8 --seconds 5 --gate 1.3
# about: dataplane storage include
# needs: clients
# timeout: 180
"""many_sessions.py - many sessions and partitions at once: fair, and nearly as cheap as one session.

Blocks A, B, A on one kirad in memory: one session that writes to all partitions, then --sessions of them, each to
16 of the partitions (together to all), then one again. As fast as acks allow; nothing is read back. Must hold, in
the median of the blocks: of B's sessions none gets more than twice as many records acked as another; the lcore's
time per record (kira stat: busy_ns less long_ns, over udp_records) is at most --gate times that of A. In all:
every record sent is acked, none refused, no ring was full. A block is thrown, and told, where the host kept kirad
from answering for so long that kira-blast took it for gone; more than half thrown is a failure. With the 768 sessions that a queue of 4,096
descriptors allows one more is asked for beside them: it is refused with 89."""
import argparse
import os
import statistics
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import blasting as b
import harness as h
import kafka_wire as k

TABLE = 768         # C/4 of a memif port
EACH = 16           # partitions of one session: 65,536 pairs of producer and partition are remembered
SEGMENT = 1 << 20


def in_memory():
    """A data directory whose room costs no disk; two segments a partition are kept."""
    if not os.access("/dev/shm", os.W_OK):
        h.skip("/dev/shm is missing: mount -t tmpfs tmpfs /dev/shm")
    path = tempfile.mkdtemp(prefix="kira-test-", dir="/dev/shm")
    h.at_exit(h.shutil.rmtree, path, True)
    return path


class Sides:
    def __init__(self, args):
        self.args = args
        self.kirad = b.MemifKirad(extra=["--volatile", "--sessions-per-address", str(TABLE), "--max-partitions", "2048",
                                         "--topic-default", "segment.bytes=%d" % SEGMENT,
                                         "--topic-default", "retention.bytes=%d" % (2 * SEGMENT)])
        self.kirad.data_dir = in_memory()
        self.kirad.start()

    def run(self, sessions, seconds):
        """(ns of the lcore per record, the report) of so many sessions, once all of them are at it."""
        kirad = self.kirad
        if sessions == TABLE:   # those of before are in quarantine for 20 s
            h.until(lambda: kirad.counter("sessions") + kirad.counter("sessions_ended") == 0, 60, "an empty session table")
        blast = b.Running(kirad, "many", seconds=1000000, sessions=sessions, partitions=self.args.partitions,
                          session_partitions=EACH if sessions > 1 else None, no_verify=True)
        before, waits = kirad.counter("udp_batches"), kirad.counter("waits")
        h.until(lambda: blast.must_live() or kirad.counter("udp_batches") - before > 4 * self.args.partitions, 60, "batches")
        if sessions == TABLE:
            self.one_too_many()
        first = kirad.counters()
        h.select.select([], [], [], seconds)
        last = kirad.counters()
        got = blast.finish(60)
        all_of_it = kirad.counters()
        records = last["udp_records"] - first["udp_records"]
        cost = (last["busy_ns"] - first["busy_ns"] - last["long_ns"] + first["long_ns"]) / records
        if got["broker_losses"]:
            return None, got
        h.check(got["exit"] == 0 and got["error"] is None and got["batches_refused"] == 0, "kira-blast: %s" % got)
        h.check(got["records_acked"] == got["records_sent"], "%d records sent, %d acked" % (got["records_sent"], got["records_acked"]))
        h.check(all_of_it["drop_ring_full"] == 0, "%d packets met a full ring" % all_of_it["drop_ring_full"])
        got["waits"] = all_of_it["waits"] - waits
        return cost, got

    def one_too_many(self):
        try:
            k.open_session(self.kirad.host, self.kirad.port, "127.18.0.9", 30000, "many")
        except k.Refused as e:
            h.check(e.error == 89, "session %d was refused by %s" % (TABLE + 1, e))
            return
        raise h.Failed("session %d was granted" % (TABLE + 1))


def body():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--sessions", type=int, default=768)
    args.add_argument("--partitions", type=int, default=1000)
    args.add_argument("--blocks", type=int, default=8)
    args.add_argument("--seconds", type=float, default=5)
    args.add_argument("--gate", type=float, default=1.3, help="most that a record of many may cost, of one session's")
    args = args.parse_args()
    sides = Sides(args)
    sides.run(1, 1)             # every partition has its first segment, and room
    ratios, fair, one, many = [], [], [], []
    i, wanted = -1, args.blocks
    while len(ratios) < wanted:
        i += 1
        h.check(i < 2 * wanted, "only %d of %d blocks were undisturbed" % (len(ratios), i))
        before, _ = sides.run(1, args.seconds)
        cost, got = sides.run(args.sessions, args.seconds)
        after, _ = sides.run(1, args.seconds)
        if not (before and cost and after):
            h.say("block %d: thrown, kirad did not answer for seconds (%s)" % (
                i + 1, ", ".join("%.0f ns" % c if c else "gone" for c in (before, cost, after))))
            continue
        ratios.append(2 * cost / (before + after))
        fair.append(got["session_records_max"] / max(got["session_records_min"], 1))
        one.append((before + after) / 2)
        many.append(cost)
        h.say("block %d: %.0f, %.0f, %.0f ns per record: %.3f; %.0f records/s, a session's %d to %d, %d batches waited" % (
            i + 1, before, cost, after, ratios[-1], got["records_acked"] / got["seconds"], got["session_records_min"],
            got["session_records_max"], got["waits"]))
        if args.blocks == 1 and (fair[0] > 2 or ratios[0] > args.gate):
            wanted = 3      # one alone may have met somebody else on this machine: the median
    ratio, apart = statistics.median(ratios), statistics.median(fair)
    h.check(apart <= 2, "of %d sessions one got %.2f times as many records acked as another" % (args.sessions, apart))
    h.check(ratio <= args.gate, "a record of %d sessions costs %.2f of one session's, more than %.2f" % (
        args.sessions, ratio, args.gate))
    h.say("result: %d sessions, %d partitions, %d blocks: a record costs %.3f of one session's (%.3f to %.3f; %.0f and %.0f ns), "
          "max/min of sessions %.2f (worst %.2f)%s" % (
              args.sessions, args.partitions, len(ratios), ratio, min(ratios), max(ratios), statistics.median(many),
              statistics.median(one), apart, max(fair), ", the next one is refused with 89" if args.sessions == TABLE else ""))


h.main(body)
