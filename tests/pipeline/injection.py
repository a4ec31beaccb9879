#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --rounds 3
# quick: --rounds 1 --loss 0.2 --duplicate 0.2 --reorder 0.3 --depth 64 --rate 20000
# long: --minutes {minutes}
# needs: clients
# timeout: 240
"""injection.py - datagrams and ACKs are lost, doubled and reordered on purpose; of the records nothing is
lost, nothing doubled, nothing out of order. Every fault must have been injected, and seen by kirad."""
import argparse
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import blasting as b
import harness as h

PARTITIONS, SESSIONS = 4, 4


def body():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--rounds", type=int, default=3)
    args.add_argument("--minutes", type=float, help="instead of a number of rounds")
    args.add_argument("--loss", type=float, default=0.01)
    args.add_argument("--duplicate", type=float, default=0.01)
    args.add_argument("--reorder", type=float, default=0.01)
    args.add_argument("--depth", type=int, default=8)
    args.add_argument("--rate", type=int, default=100000)
    args = args.parse_args()
    rng = h.seeded()
    kirad = b.MemifKirad(extra=["--topic-default", "segment.bytes=33554432"]).start()
    stop = time.monotonic() + args.minutes * 60 if args.minutes else None
    total, rounds = 0, 0
    injected = {"lost": 0, "duplicated": 0, "reordered": 0}
    while (time.monotonic() < stop) if stop else (rounds < args.rounds):
        topic = "injection-%d" % rounds
        acks = ("log", "disk")[rounds % 2]
        before = kirad.counters()
        got = b.blast(kirad, topic, seconds=3, acks=acks, sessions=SESSIONS, partitions=PARTITIONS, rate=args.rate,
                      loss=args.loss, duplicate=args.duplicate, reorder=args.reorder, reorder_depth=args.depth,
                      seed=rng.randrange(1 << 32), give_up_after=10)
        b.good(got)
        h.check(got["records_acked"] == got["records_sent"], "sent and not acked: %s" % got)
        for what in injected:
            h.check(got["injected_" + what] > 0, "no datagram was %s on purpose: %s" % (what, got))
            injected[what] += got["injected_" + what]
        after = kirad.counters()
        for name in ("retransmitted", "drop_dup", "held"):
            h.check(after[name] > before[name], "kirad's counter %s did not move: were the faults injected?" % name)
        h.check(after["udp_records"] - before["udp_records"] == got["records_acked"],
                "kirad stored %d records, %d were acked" % (after["udp_records"] - before["udp_records"],
                                                            got["records_acked"]))
        h.check(b.dense(kirad, topic, PARTITIONS) == got["records_acked"], "kcat counts other records")
        total += got["records_acked"]
        rounds += 1
        h.say("round %d: acks %s, %d records; datagrams lost %d, doubled %d, reordered %d; p99 %s us" % (
            rounds, acks, got["records_acked"], got["injected_lost"], got["injected_duplicated"],
            got["injected_reordered"], got["ack_p99_us"]))
    kirad.stop()
    h.say("result: rounds %d, records %d, datagrams lost %d, doubled %d, reordered %d; records lost 0, doubled 0, "
          "out of order 0" % (rounds, total, injected["lost"], injected["duplicated"], injected["reordered"]))


h.main(body)
