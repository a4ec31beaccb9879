#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --seconds 5 --share 25
# long: --seconds 60 --share 5
# about: include dataplane control
# timeout: 240
"""idle_consumers.py - 1,000 consumers that wait cost kirad next to nothing.

Each has a connection and a partition of its own and fetches with max_wait 500 ms; nothing comes. Then one partition
is written to, a hundred times a second: only its consumer is looked at, the others cost what they did. At last one
consumer has all partitions in a fetch session, and what its requests name is what moved.

The share is control's CPU time of the time that passed, less than --share per cent; all else is a ratio."""
import argparse
import os
import resource
import selectors
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h
import kafka_wire as k

MAX_WAIT_MS = 500
NAME = "idle"


def asks(partitions, version=4, session=(0, -1), max_wait=MAX_WAIT_MS):
    """A fetch of these (partition, offset)."""
    one = b"".join(k.i32(p) + k.i64(o) + (k.i64(-1) if version >= 5 else b"") + k.i32(1 << 20) for p, o in partitions)
    return k.request(k.FETCH, version, k.i32(-1) + k.i32(max_wait) + k.i32(1) + k.i32(1 << 20) + k.i8(0)
                     + (k.i32(session[0]) + k.i32(session[1]) if version >= 7 else b"")
                     + (k.i32(1) + k.string(NAME) + k.i32(len(partitions)) + one if partitions else k.i32(0))
                     + (k.i32(0) if version >= 7 else b""))


def cpu_seconds(pid):
    """User and system time of the control thread, to the nanosecond."""
    with open("/proc/%d/task/%d/schedstat" % (pid, pid)) as f:
        return int(f.read().split()[0]) / 1e9


def wait_all(consumers, seconds):
    """Each asks again when it is answered; how many answers came."""
    selector, answers = selectors.DefaultSelector(), 0
    for c, ask in consumers:
        selector.register(c.sock, selectors.EVENT_READ, (c, ask))
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for key, _ in selector.select(0.1):
            c, ask = key.data
            h.check(c.answer() is not None, "a consumer was thrown out")
            c.send(ask)
            answers += 1
    selector.close()
    return answers


def share_of(kirad, what, seconds):
    before, begun = cpu_seconds(kirad.pid), time.monotonic()
    result = what(seconds)
    return 100 * (cpu_seconds(kirad.pid) - before) / (time.monotonic() - begun), result


def session_partitions(body):
    """(session id, how many partitions the answer of version 7 names)."""
    _thr, error, session, topics = struct.unpack_from(">ihii", body, 4)
    h.check(error == 0, "a fetch in a session was answered %d" % error)
    if topics == 0:
        return session, 0
    return session, struct.unpack_from(">i", body, 4 + 14 + 2 + len(NAME))[0]


def body():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--consumers", type=int, default=1000)
    args.add_argument("--seconds", type=float, default=5)
    args.add_argument("--share", type=float, default=25)
    args = args.parse_args()
    n = args.consumers
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < n + 100:
        h.skip("fewer than %d open files are allowed (ulimit -n)" % (n + 100))
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    kirad = h.Kirad(extra=["--max-partitions", str(n + 8), "--num-partitions", str(n), "--topic-default",
                           "segment.bytes=1048576", "--max-connections-per-ip", str(n + 100)]).start()
    producer = k.Connection(kirad.host, kirad.port, 60)
    producer.ask(k.request(k.METADATA, 1, k.i32(1) + k.string(NAME)))
    consumers = [(k.Connection(kirad.host, kirad.port, 60), asks([(i, 0)])) for i in range(n)]
    for i, (c, ask) in enumerate(consumers):
        c.send(ask)
        if i % 50 == 49:
            time.sleep(MAX_WAIT_MS / 1000 * 50 / n)    # consumers do not start all at once
    wait_all(consumers, 1)

    idle, answers = share_of(kirad, lambda s: wait_all(consumers, s), args.seconds)
    rate = answers / args.seconds
    want = n / (MAX_WAIT_MS / 1000)
    h.check(0.5 * want < rate < 1.1 * want, "%.0f answers a second, %.0f are due" % (rate, want))
    h.check(idle < args.share, "control was busy %.1f %% of the time, over %g %%" % (idle, args.share))
    h.say("%d idle consumers, %.0f answers a second: control busy %.2f %%" % (n, rate, idle))

    looks = kirad.count("fetch_looks")
    produce = k.request(k.PRODUCE, 3, k.produce_body(NAME, n - 1, k.batch([b"x" * 50])))
    for c, _ in consumers[:-1]:
        pass
    last, _ = consumers.pop()
    last.answer()
    offset, writes = 0, 200
    for _ in range(writes):
        last.send(asks([(n - 1, offset)]))
        producer.ask(produce)
        h.check(last.answer() is not None, "the one consumer was thrown out")
        offset += 1
    looked = kirad.count("fetch_looks") - looks
    h.check(writes * 0.5 <= looked <= writes * 1.5,
            "%d records for one of %d consumers made kirad look at %d fetches" % (writes, n, looked))
    h.say("%d records for one of %d consumers: %d fetches looked at" % (writes, n, looked))
    for c, _ in consumers:
        c.close()

    c = k.Connection(kirad.host, kirad.port, 60)
    session, named = session_partitions(c.ask(asks([(i, 0) for i in range(n - 1)] + [(n - 1, offset)], 7, (0, 0), 0)))
    h.check(session != 0 and named == n, "no session, or only %d of %d partitions" % (named, n))
    producer.ask(produce)
    _, named = session_partitions(c.ask(asks([], 7, (session, 1), 5000)))
    h.check(named == 1, "one partition moved, %d were named" % named)

    def in_session(seconds, epoch=2):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            c.send(asks([(n - 1, offset + epoch - 1)], 7, (session, epoch), 5000))
            producer.ask(produce)
            _, named = session_partitions(c.answer())
            h.check(named == 1, "one partition moved, %d were named" % named)
            epoch += 1
        return epoch - 2

    def in_full(seconds, rounds=0):
        at = offset + session_rounds + 1
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            c.send(asks([(i, 0) for i in range(n - 1)] + [(n - 1, at + rounds)], 7, (0, -1), 5000))
            producer.ask(produce)
            c.answer()
            rounds += 1
        return rounds

    spent, session_rounds = share_of(kirad, in_session, args.seconds / 5)
    session_us = spent * args.seconds / 5 * 1e4 / session_rounds
    spent, full_rounds = share_of(kirad, in_full, args.seconds / 5)
    full_us = spent * args.seconds / 5 * 1e4 / full_rounds
    h.check(session_us < full_us, "a request in a session costs control %.0f us, a full one %.0f" % (session_us, full_us))
    kirad.stop()
    h.say("result: %d idle consumers: control busy %.2f %%; a fetch of %d partitions, one of which moved, costs control "
          "%.0f us in a session, %.0f us in full; %d looks for %d records" % (n, idle, n, session_us, full_us, looked, writes))


h.main(body)
