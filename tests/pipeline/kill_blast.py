#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --kills 5
# long: --kills 50 --quarantine
# needs: clients
# timeout: 240
"""kill_blast.py - kill -9 of kira-blast under load, again and again; kirad lives, takes the next one,
and frees the sessions of the dead. What it had taken of them has no hole and no double in it."""
import argparse
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import blasting as b
import harness as h

PARTITIONS, SESSIONS = 4, 4
LEASE_S = 10            # KUP_LEASE_MS; a session without its TCP connection ends after it


def body():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--kills", type=int, default=5)
    args.add_argument("--quarantine", action="store_true", help="wait until ended sessions are free again, too")
    args = args.parse_args()
    rng = h.seeded()
    kirad = b.MemifKirad(extra=["--topic-default", "segment.bytes=16777216"]).start()
    for kill in range(args.kills):
        before = kirad.counter("udp_batches")
        blast = b.Running(kirad, "kill-blast", seconds=1000, sessions=SESSIONS, partitions=PARTITIONS, acks="log",
                          rate=100000, give_up_after=40)

        def stores():
            blast.must_live("kira-blast %d" % (kill + 1))
            h.check(kirad.lives(), "kirad ended")
            return kirad.counter("udp_batches") > before + 500
        h.until(stores, 60, "kirad takes batches of kira-blast %d" % (kill + 1))
        time.sleep(rng.uniform(0, 0.3))
        blast.process.kill()
        h.check(kirad.lives(), "kirad ended with kira-blast %d" % (kill + 1))
        h.say("kill %d: %d batches of it stored; %d sessions" % (
            kill + 1, kirad.counter("udp_batches") - before, kirad.counter("sessions")))
    h.until(lambda: kirad.counter("sessions") == 0, 2 * LEASE_S + 10, "the sessions of the dead end")
    ended = kirad.counter("ended_lease")
    h.check(ended == args.kills * SESSIONS, "%d of %d sessions ended by their lease" % (ended, args.kills * SESSIONS))
    if args.quarantine:
        h.until(lambda: kirad.counter("sessions_ended") == 0, 3 * LEASE_S + 10, "ended sessions are free again")
    h.check(kirad.counter("held_now") == 0, "batches of dead producers are still held")
    b.good(b.blast(kirad, "kill-blast", seconds=1, sessions=SESSIONS, partitions=PARTITIONS, acks="log"))
    got = b.blast(kirad, "kill-blast", verify_only=True, ok=(0, 1))
    for key in ("records_lost", "records_duplicated", "records_reordered", "offset_gaps", "crc_errors"):
        h.check(got[key] == 0, "%s is %s: %s" % (key, got[key], got))
    records = b.dense(kirad, "kill-blast", PARTITIONS)
    h.check(records == got["records_read"], "kcat reads %d records, kira-blast %d" % (records, got["records_read"]))
    h.check(kirad.lives(), "kirad ended")
    kirad.stop()
    h.say("result: kills of kira-blast %d, sessions ended %d, records kept %d; kirad lives" % (
        args.kills, ended, records))


h.main(body)
