#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# needs: clients
# timeout: 500
"""cut_short.py - the active segment of one of two partitions is cut short by hand under load.

Its producer gets error 56 (20 for what was appended and not synced yet), the other partition goes on, kirad lives
and says once why; what was durable and is gone halts that partition at the next start, and the other one is whole."""
import glob
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h

STORAGE_ERROR, AFTER_APPEND = 56, 20


def body():
    confluent = h.need_module("confluent_kafka", "python3-confluent-kafka")
    kirad = h.Kirad(extra=["--num-partitions", "2"]).start()
    acked, failed = [0, 0], [[], []]
    # Of the one that is to fail every error is told; the other waits for room as long as the disk takes.
    producers = [confluent.Producer({"bootstrap.servers": kirad.bootstrap, "linger.ms": 2, "message.timeout.ms": 120000,
                                     "log_level": 2, "retries": retries}) for retries in (0, 1000000)]
    waiting = [0, 0]

    def done_of(partition):
        def done(err, _):
            waiting[partition] -= 1
            if err is None:
                acked[partition] += 1
            else:
                failed[partition].append(err.code())
        return done
    done = [done_of(0), done_of(1)]

    def load(until, what):
        end = time.monotonic() + 120
        while not until():
            h.check(time.monotonic() < end, "%s: not within 120 s; acked %s" % (what, acked))
            for p in (0, 1):
                if waiting[p] < 200:
                    producers[p].produce("cut", b"x" * 1000, partition=p, on_delivery=done[p])
                    waiting[p] += 1
                producers[p].poll(0.0005)
    load(lambda: min(acked) > 3000, "records in both partitions")
    h.check(set(failed[0]) <= {STORAGE_ERROR} and not failed[1], "records failed before anything happened: %s" % failed)
    # All of it synced: what meets the cut first is a store, as a rule, not a sync.
    h.check(producers[0].flush(120) == 0, "not all was acked within two minutes")
    failed[0].clear()       # a disk that stood still: no room within a second
    segment = sorted(glob.glob(os.path.join(kirad.data_dir, "cut-0", "*.log")))[-1]
    os.truncate(segment, 0)
    h.say("%s cut to nothing after %d records" % (os.path.basename(segment), acked[0]))
    load(lambda: len(failed[0]) > 200, "the producer of the damaged one is told")
    # 20 who waited for a sync of what was appended before.
    h.check(STORAGE_ERROR in failed[0] and set(failed[0]) <= {STORAGE_ERROR, AFTER_APPEND}, "told %s, not 56" % sorted(set(failed[0])))
    at, told = acked[1], acked[0]
    load(lambda: acked[1] > at + 2000, "the other goes on")
    h.check(kirad.lives(), "kirad ended")
    h.check(not failed[1], "records of the other failed: %s" % failed[1][:1])
    h.check(acked[0] == told, "%d records of a failed partition were acked" % (acked[0] - told))
    h.until(lambda: kirad.count("maps_lost") + kirad.count("sync_failures") > 0, 10, "a counter, maps_lost or sync_failures")
    h.until(lambda: kirad.process.output().count("partition 0 failed:") == 1, 10, "a line that says so")
    h.check(all(p.flush(120) == 0 for p in producers), "records stay undelivered")
    how = "a store" if kirad.count("maps_lost") else "a sync"
    kirad.stop()
    kirad.start()
    text = kirad.process.output()
    h.check("partition 0 is halted: acknowledged data" in text, "nothing says that what was acked is gone")
    h.check("partition 1 is halted" not in text, "the other is halted too")
    consumer = confluent.Consumer({"bootstrap.servers": kirad.bootstrap, "group.id": "x", "log_level": 2})
    low, high = consumer.get_watermark_offsets(confluent.TopicPartition("cut", 1), timeout=30)
    consumer.close()
    h.check((low, high) == (0, acked[1]), "acked %d, in the log %d to %d" % (acked[1], low, high))
    kirad.stop()
    h.say("result: met by %s; told 56 %d times, the other took %d, kirad lived" % (how, len(failed[0]), acked[1]))


h.main(body)
