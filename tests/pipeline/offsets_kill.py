#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --rounds 4
# long: --rounds 60 --seed {seed}
# about: include storage dataplane control
# timeout: 240
"""offsets_kill.py - committed offsets never go back: kirad is killed with -9 under load, again and again.

Groups commit ever higher offsets over connections of their own, simple ones by hand, with much metadata, so that
__consumer_offsets grows beyond two segments and is written anew all the time, sometimes when the kill comes. After each
start a group's offset is not below the last that was answered and not above the last that was sent; `kira group
describe` says the same, and the right lag."""
import argparse
import os
import random
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h
import kafka_wire as k

GROUPS, PARTITIONS, RECORDS = 4, 3, 50
OFFSET_COMMIT, OFFSET_FETCH = 8, 9


class Group(threading.Thread):
    """Commits to all partitions, one after the other, until told to stop."""

    def __init__(self, kirad, name, acked, sent):
        super().__init__(daemon=True)
        self.kirad, self.name, self.acked, self.sent = kirad, name, acked, sent
        self.stop, self.commits, self.errors = False, 0, {}

    def commit(self, c, partition, offset):
        body = (k.string(self.name) + k.i32(-1) + k.string("") + k.i64(-1) + k.i32(1) + k.string("t") + k.i32(1)
                + k.i32(partition) + k.i64(offset) + k.string("m" * 3000))
        answer = c.ask(k.request(OFFSET_COMMIT, 2, body))
        return None if answer is None else struct.unpack(">h", answer[-2:])[0]

    def run(self):
        try:
            with k.Connection(self.kirad.host, self.kirad.port) as c:
                partition = 0
                while not self.stop:
                    key = (self.name, partition)
                    offset = self.sent.get(key, 0) + 1
                    self.sent[key] = offset
                    error = self.commit(c, partition, offset)
                    if error is None:
                        return
                    if error == 0:
                        self.acked[key] = offset
                        self.commits += 1
                    else:
                        self.errors[error] = self.errors.get(error, 0) + 1
                    partition = (partition + 1) % PARTITIONS
        except OSError:
            return


def fetch(c, group):
    """{partition: offset}, of all that is committed."""
    answer = c.ask(k.request(OFFSET_FETCH, 2, k.string(group) + k.i32(-1)))
    h.check(answer is not None, "no answer to OffsetFetch")
    at, found = 4, {}
    topics = struct.unpack_from(">i", answer, at)[0]
    at += 4
    for _ in range(topics):
        at += 2 + struct.unpack_from(">h", answer, at)[0]
        n = struct.unpack_from(">i", answer, at)[0]
        at += 4
        for _ in range(n):
            partition, offset, length = struct.unpack_from(">iqh", answer, at)
            at += 14 + length
            error = struct.unpack_from(">h", answer, at)[0]
            at += 2
            h.check(error == 0, "error %d of a committed offset" % error)
            found[partition] = offset
    h.check(struct.unpack_from(">h", answer, at)[0] == 0, "OffsetFetch failed")
    return found


def judge(kirad, acked, sent, where):
    with k.Connection(kirad.host, kirad.port) as c:
        for i in range(GROUPS):
            name = "g%d" % i
            found = fetch(c, name)
            for p in range(PARTITIONS):
                key, got = (name, p), found.get(p, 0)
                h.check(got >= acked.get(key, 0), "%s: %s-%d is back at %d, %d was answered" % (where, name, p, got,
                                                                                            acked.get(key, 0)))
                h.check(got <= sent.get(key, 0), "%s: %s-%d is at %d, %d was sent" % (where, name, p, got, sent.get(key, 0)))
                sent[key] = max(sent.get(key, 0), got)


def first_offset(kirad):
    _, out, _ = h.run([h.binary("kira"), "topic", "describe", "__consumer_offsets", "-b", kirad.bootstrap])
    return int(out.splitlines()[2].split()[2])


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--rounds", type=int, default=4)
    ap.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    args = ap.parse_args()
    rng = random.Random(args.seed)
    print("seed %d" % args.seed, flush=True)
    kirad = h.Kirad(extra=["--offsets-topic-segment-bytes", "1048576"])
    kirad.start()
    h.run([h.binary("kira"), "topic", "create", "t", "--partitions", str(PARTITIONS), "-b", kirad.bootstrap])
    acked, sent, commits, errors, renewed, in_renewal = {}, {}, 0, {}, 0, 0
    start = 0
    for n in range(args.rounds):
        groups = [Group(kirad, "g%d" % i, acked, sent) for i in range(GROUPS)]
        for g in groups:
            g.start()
        if n == 0:      # how long this takes is up to the disk
            h.until(lambda: first_offset(kirad) > start, 60, "__consumer_offsets is written anew")
        time.sleep(rng.uniform(1.5, 3.5) if n else rng.uniform(0, 1))
        kirad.kill9()
        for g in groups:
            g.stop = True
        for g in groups:
            g.join(20)
            h.check(not g.is_alive(), "a commit was not answered and its connection not closed")
            commits += g.commits
            for e, times in g.errors.items():
                errors[e] = errors.get(e, 0) + times
        kirad.start()
        judge(kirad, acked, sent, "after kill %d" % (n + 1))
        now = first_offset(kirad)
        h.check(now >= start, "__consumer_offsets began at %d, and begins at %d" % (start, now))
        renewed += now > start
        start = now
    judge(kirad, acked, sent, "at the end")
    h.check(not errors, "commits were refused: %s" % errors)
    h.check(renewed > 0, "the log was never written anew: the harness has lost its reason")
    log = os.path.join(kirad.data_dir, "__consumer_offsets-0")
    size = sum(s.st_blocks * 512 for s in h.stat_of(os.path.join(log, f) for f in os.listdir(log) if f.endswith(".log")).values())
    h.check(size < 16 << 20, "__consumer_offsets takes %d bytes" % size)
    kirad.stop()
    kirad.start()
    judge(kirad, acked, sent, "after a clean stop")
    kirad.stop()
    h.check(h.run([h.binary("kira"), "check", kirad.data_dir])[0] == 0, "kira check found something")
    print("result: %d kills, %d commits answered, none went back; the log began anew in %d of the rounds" %
          (args.rounds, commits, renewed))
    return 0


h.main(main)
