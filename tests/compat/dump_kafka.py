#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# asan:
# timeout: 240
"""dump_kafka.py - kira dump reads a partition that Apache Kafka wrote, record for record.

golden/kafka-3.9.1/fixture-0 is the directory of a partition after a clean stop of Apache Kafka 3.9.1 (segment.bytes
16384), filled by kcat: 150 records idempotent, 150 LZ4, 100 plain; keys and headers in the first two parts.
golden/kafka-3.9.1/records.txt is what kcat read back from that broker: offset, time, key, value, headers."""
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "pipeline"))
import harness as h

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "kafka-3.9.1")


def body():
    part = os.path.join(HERE, "fixture-0")
    _, out, _ = h.run([h.binary("kira"), "dump", "--json", "--records", part])
    objects = [json.loads(line) for line in out.splitlines()]
    got = ["%d %d %s %s %s" % (o["offset"], o["timestamp"], o["key"], o["value"],
                               ",".join("%s=%s" % (n, v) for n, v in o["headers"]))
           for o in objects if o["type"] == "record"]
    with open(os.path.join(HERE, "records.txt")) as f:
        want = f.read().splitlines()
    h.check(len(want) == 400, "records.txt has %d lines" % len(want))
    for a, b in zip(got, want):
        h.check(a == b, "dump says %r, Kafka gave %r" % (a, b))
    h.check(len(got) == len(want), "%d records, Kafka had %d" % (len(got), len(want)))
    kinds = {}
    for o in objects:
        kinds[o["type"]] = kinds.get(o["type"], 0) + 1
    h.check(kinds["index"] == 4 and kinds["timeindex"] == 3 and kinds["producer"] == 2, "other files: %s" % kinds)
    h.check({o["codec"] for o in objects if o["type"] == "batch"} == {"none", "lz4"}, "codecs")
    h.check("damage" not in kinds and "note" not in kinds, "findings in Kafka's files: %s" % kinds)
    h.say("%d records of Kafka's, record for record" % len(got))

    copy = os.path.join(h.temp_dir(), "fixture-0")
    for name in sorted(os.listdir(part)):
        if not name.endswith((".log", ".index", ".snapshot")):
            continue
        shutil.rmtree(copy, True)
        shutil.copytree(part, copy)
        with open(os.path.join(copy, name), "r+b") as f:
            f.seek(3)       # of the base offset, an entry's offset, or the CRC
            byte = f.read(1)[0]
            f.seek(3)
            f.write(bytes([byte ^ 0x40]))
        _, out, _ = h.run([h.binary("kira"), "dump", copy], ok=(1,))
        h.check("damage  %s/%s" % (copy, name) in out, "%s: the damage is not named" % name)
    h.say("and finds a byte that was changed, in each kind of file")


h.main(body)
