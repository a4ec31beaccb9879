#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# about: include storage control tests/pipeline
# long: --mib 1024
# needs: clients
"""rewrite_cost.py - what rewriting with LZ4 saves, and what it costs others.

Fills a topic of 16 MiB segments with JSON-like lines in small batches, restarts kirad with rewriting due at once, and
measures: bytes before and after; CPU time of the rewriting thread, by its nice value; how long the ack of a single
record at acks=all takes before and while segments are rewritten. No limit is set but that nothing fails: the
figures are of this machine and moment, and go into storage/README.md with the command."""
import argparse
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h

BATCH = 20      # records: what a producer of log lines sends in a few milliseconds


def fill(kirad, random, mib):
    confluent = h.need_module("confluent_kafka", "python3-confluent-kafka")
    producer = confluent.Producer({"bootstrap.servers": kirad.bootstrap, "acks": 1, "linger.ms": 1000, "batch.num.messages": BATCH,
                                   "queue.buffering.max.messages": 200000})
    sent = n = 0
    while sent < mib << 20:
        line = json.dumps({"ts": 1700000000000 + n, "level": random.choice(("info", "warn", "debug")), "host": "web-%02d" % random.randrange(40),
                           "path": "/api/v1/item/%d" % random.randrange(5000), "status": random.choice((200, 200, 404, 500)),
                           "ms": random.randrange(900), "user": "%08x" % random.getrandbits(32),
                           "agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"})
        while True:
            try:
                producer.produce("lines", line, partition=0)
                break
            except BufferError:
                producer.poll(0.05)
        sent += len(line)
        n += 1
    h.check(producer.flush(120) == 0, "the topic was not filled")


def idle_cpu(kirad):
    """Seconds of the threads of nice value 19, user and system."""
    seconds = [0.0, 0.0]
    base = "/proc/%d/task" % kirad.pid
    for tid in os.listdir(base):
        with open(os.path.join(base, tid, "stat")) as f:
            field = f.read().rsplit(")", 1)[1].split()
        if int(field[16]) == 19:
            seconds[0] += int(field[11]) / os.sysconf("SC_CLK_TCK")
            seconds[1] += int(field[12]) / os.sysconf("SC_CLK_TCK")
    return seconds


class Probe:
    def __init__(self, kirad):
        confluent = h.need_module("confluent_kafka", "python3-confluent-kafka")
        self.producer = confluent.Producer({"bootstrap.servers": kirad.bootstrap, "acks": "all", "linger.ms": 0})

    def acks(self, go_on):
        took = []
        while go_on(len(took)):
            begun = time.monotonic()
            self.producer.produce("probe", b"x" * 100)
            h.check(self.producer.flush(30) == 0, "no ack within 30 s")
            took.append(time.monotonic() - begun)
        took.sort()
        return took


def show(took):
    return "%.1f ms, 99 %% %.1f ms, of %d" % (took[len(took) // 2] * 1e3, took[len(took) * 99 // 100] * 1e3, len(took))


def body():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--mib", type=int, default=128)
    args = args.parse_args()
    random = h.seeded()
    kirad = h.Kirad(extra=["--topic-default", "retention.ms=-1", "--rewrite-after-ms", "86400000"]).start()
    for topic, config in (("lines", ["-c", "compression.type=lz4", "-c", "segment.bytes=16777216"]), ("probe", [])):
        h.run([h.binary("kira"), "topic", "create", topic, "-b", kirad.bootstrap] + config)
    fill(kirad, random, args.mib)
    before = Probe(kirad).acks(lambda n: n < 300)
    sealed = kirad.count("segments_sealed")
    kirad.stop()
    kirad.extra[-1] = "0"
    kirad.start()
    # All but the last of the topic: the clean stop has sealed one more.
    left = lambda: sealed - 1 - kirad.count("rewrite_segments")
    begun = time.monotonic()
    during = Probe(kirad).acks(lambda n: n < 10 or (left() > 0 and time.monotonic() - begun < 600))
    h.check(left() <= 0, "%d segments were not rewritten in 600 s" % left())
    seconds = time.monotonic() - begun
    user, system = idle_cpu(kirad)
    was, now = kirad.count("rewrite_bytes_before"), kirad.count("rewrite_bytes_after")
    gib = was / (1 << 30)
    h.check(kirad.count("rewrite_failures") == 0, "a rewriting failed")
    kirad.stop()
    h.say("ack at acks=all before: %s" % show(before))
    h.say("              meanwhile: %s" % show(during))
    h.say("result: %d segments, %.0f MiB became %.0f MiB (%.1f x); CPU %.1f s user, %.1f s system per GiB; %.0f MiB/s; ack 50 %% %.2f x, "
          "99 %% %.2f x" % (sealed, was / (1 << 20), now / (1 << 20), was / now, user / gib, system / gib, was / seconds / (1 << 20),
                            during[len(during) // 2] / before[len(before) // 2],
                            during[len(during) * 99 // 100] / before[len(before) * 99 // 100]))


h.main(body)
