#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --kills 3
# quick: --kills 3 --acks disk --segment 1048576
# long: --kills 50
# long: --kills 50 --acks disk --segment 1048576
# long: --minutes {minutes}
# needs: clients
# timeout: 420
"""kill_memif.py - kill -9 of kirad under kira-blast's load over memif, again and again; nothing acked
is lost, nothing is there twice, the offsets are dense.

One kira-blast runs through all of it: its memif link dies and comes back, its sessions are gone, what was
not acked goes again under the same sequence numbers. A kill comes within some 10 ms after kirad's counter of
stored batches moved; it counts only if batches were acked within 100 ms before the broker's last word and
others were in flight, as kira-blast tells of each loss. Others (a disk was slow) are made up for."""
import argparse
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import blasting as b
import harness as h

PARTITIONS, SESSIONS = 4, 4


def under_load(kirad, blast, at_least):
    """Wait until this kirad has taken batches for `at_least` seconds and has just taken more."""
    give_up = time.monotonic() + 60
    first = last = None
    while True:
        blast.must_live()
        h.check(kirad.lives(), "kirad ended by itself")
        now = kirad.counter("udp_batches")
        if now and first is None:
            first = time.monotonic()
        if first and time.monotonic() - first >= at_least and last and now > last:
            return now
        last = now
        h.check(time.monotonic() < give_up, "no batch for 60 s after a restart")
        time.sleep(0.01)        # a slice to compare with, not a wait for something to happen


def hits(blast):
    """Losses so far with fresh acks and batches in flight, and all of them."""
    told = re.findall(r"gone: (\d+) batches in flight, (\d+) acked", blast.process.output())
    return sum(1 for flying, acked in told if int(flying) and int(acked)), len(told)


def body():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--kills", type=int, default=20)
    args.add_argument("--minutes", type=float, help="instead of a number of kills")
    args.add_argument("--acks", choices=("log", "disk"), default="log")
    args.add_argument("--rate", type=int, default=100000)
    args.add_argument("--segment", type=int, default=16777216, help="segment.bytes: small ones are rolled all the time")
    args = args.parse_args()
    rng = h.seeded()
    kirad = b.MemifKirad(extra=["--topic-default", "segment.bytes=%d" % args.segment]).start()
    blast = b.Running(kirad, "kill-memif", seconds=1000000, acks=args.acks, sessions=SESSIONS, partitions=PARTITIONS,
                      rate=args.rate, give_up_after=60)
    stop = time.monotonic() + args.minutes * 60 if args.minutes else None
    kills = 0
    while (time.monotonic() < stop) if stop else (hits(blast)[0] < args.kills):
        h.check(stop or kills < 4 * args.kills, "only %d of %d kills hit fresh acks and batches in flight" % (
            hits(blast)[0], kills))
        stored = under_load(kirad, blast, rng.uniform(0.1, 0.8))
        kirad.kill9()
        kills += 1
        kirad.start()
        h.say("kill %d: %d batches stored since the start before it; back in service" % (kills, stored))
        h.until(lambda: hits(blast)[1] == kills, 30, "kira-blast tells of kill %d" % kills)
    under_load(kirad, blast, 0.3)
    got = blast.finish(300)
    b.good(got)
    h.check(got["broker_losses"] == kills, "%d kills, and kira-blast saw %d" % (kills, got["broker_losses"]))
    kirad.stop()            # and once cleanly: the clean stop must keep it all, too
    kirad.start()
    records = b.dense(kirad, "kill-memif", PARTITIONS)
    h.check(records == got["records_acked"], "kcat reads %d records, %d were acked" % (records, got["records_acked"]))
    kirad.stop()
    h.say("result: acks %s, kills %d (%d under load), records acked %d, batches acked within 100 ms of a kill %d, in flight at one %d, "
          "sent again %d, known already %d; lost 0, twice 0, dense" % (
              args.acks, kills, got["broker_losses_under_load"], got["records_acked"], got["batches_acked_100ms_before_loss"],
              got["batches_in_flight_at_loss"], got["batches_sent_again"], got["batches_known_already"]))


h.main(body)
