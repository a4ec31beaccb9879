#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --records 2000
# asan: --records 300
# long: --records 200000
# timeout: 240
"""long_poll.py - a parked fetch is woken by the append, never by its own time limit; nobody polls meanwhile.

One consumer asks for the next record before it is sent, each time, so a wakeup that is lost between control's
turn and its sleep shows as a fetch that takes its whole max_wait. Then many consumers wait for one record.
At last all are parked and kirad must sleep: the ratio of its CPU time to the time that passed."""
import argparse
import os
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h
import kafka_wire as k

MAX_WAIT_MS = 30000   # a disk that stands still for seconds wakes nobody
IN_VAIN_MS = 5000
MANY = 200
BUSY_SHARE = 0.25     # of one CPU; a control thread that polls takes all of it
NAME = "poll"


def fetch(offset, min_bytes=1, max_wait=MAX_WAIT_MS):
    return k.request(k.FETCH, 4, k.i32(-1) + k.i32(max_wait) + k.i32(min_bytes) + k.i32(1 << 20) + k.i8(0)
                     + k.i32(1) + k.string(NAME) + k.i32(1) + k.i32(0) + k.i64(offset) + k.i32(1 << 20))


def high_watermark(body):
    error, high = struct.unpack_from(">hq", body, 4 + 4 + 4 + 2 + len(NAME) + 4 + 4)
    h.check(error == 0, "a fetch was answered %d" % error)
    return high


def base_offset(body):
    error, offset = struct.unpack_from(">hq", body, 4 + 4 + 2 + len(NAME) + 4 + 4)
    h.check(error == 0, "a produce was answered %d" % error)
    return offset


def cpu_seconds(pid, thread):
    """User and system time of the thread with that number."""
    with open("/proc/%d/task/%d/stat" % (pid, thread)) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def body():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--records", type=int, default=2000)
    args = args.parse_args()
    kirad = h.Kirad().start()
    producer, consumer = (k.Connection(kirad.host, kirad.port, 60) for _ in range(2))
    producer.ask(k.request(k.METADATA, 1, k.i32(1) + k.string(NAME)))
    produce = k.request(k.PRODUCE, 3, k.produce_body(NAME, 0, k.batch([b"x" * 50])))
    offset = base_offset(producer.ask(produce)) + 1
    longest = 0
    for _ in range(args.records):
        consumer.send(fetch(offset))
        begun = time.monotonic()
        producer.send(produce)
        high = high_watermark(consumer.answer())
        longest = max(longest, time.monotonic() - begun)
        h.check(high == offset + 1, "the fetch was answered with end offset %d, not %d" % (high, offset + 1))
        h.check(base_offset(producer.answer()) == offset, "the record is not where the fetch says")
        h.check(longest < MAX_WAIT_MS / 2000, "a fetch took %.3f s: nobody woke it" % longest)
        offset += 1
    h.say("%d fetches each woken by its record, the longest wait %.1f %% of max_wait" % (
        args.records, 100 * longest * 1000 / MAX_WAIT_MS))

    waiting = [k.Connection(kirad.host, kirad.port, 60) for _ in range(MANY)]
    for c in waiting:
        c.send(fetch(offset))
    begun = time.monotonic()
    producer.ask(produce)
    for c in waiting:
        h.check(high_watermark(c.answer()) == offset + 1, "one of many was woken with old data")
    h.check(time.monotonic() - begun < MAX_WAIT_MS / 2000, "one of many was not woken")
    offset += 1
    h.say("%d fetches woken by one record" % MANY)

    for c in waiting:
        c.send(fetch(offset, max_wait=IN_VAIN_MS))
    before, begun = cpu_seconds(kirad.pid, kirad.pid), time.monotonic()
    for c in waiting:
        h.check(high_watermark(c.answer()) == offset, "an empty fetch is answered with the end offset")
    passed = time.monotonic() - begun
    h.check(passed > IN_VAIN_MS / 2000, "empty fetches were answered after %.3f s" % passed)
    share = (cpu_seconds(kirad.pid, kirad.pid) - before) / passed
    h.check(share < BUSY_SHARE, "control was busy %.0f %% of the time with nothing to do" % (100 * share))
    kirad.stop()
    h.say("result: %d fetches, longest wait %.1f %% of max_wait; control busy %.1f %% while %d wait in vain" % (
        args.records, 100 * longest * 1000 / MAX_WAIT_MS, 100 * share, MANY))


h.main(body)
