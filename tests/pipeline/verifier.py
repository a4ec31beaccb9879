#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# needs: clients
# timeout: 240
"""verifier.py - the judge is judged: kira-blast --verify-only on topics doctored over TCP reports exactly
what was done to them, and nothing on one that was left alone."""
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import blasting as b
import harness as h

PARTITIONS, RECORDS = 3, 1000
TAG = 0x00C0DE << 40        # 24 bits of producer id; the lower 40 count per partition


def swap(numbers, at):
    return numbers[:at] + [numbers[at + 1], numbers[at]] + numbers[at + 2:]


def body():
    confluent = h.need_module("confluent_kafka", "python3-confluent-kafka")
    admin = h.need_module("confluent_kafka.admin", "python3-confluent-kafka").admin
    plain = list(range(RECORDS))
    # What partition 1 holds; the others are left alone. name: (numbers, lost, doubled, reordered)
    doctored = {
        "untouched": (plain, 0, 0, 0),
        "one-out-one-twice": (plain[:500] + plain[501:701] + [700] + plain[701:], 1, 1, 0),
        "one-out": (plain[:500] + plain[501:], 1, 0, 0),
        "one-twice": (plain[:701] + [700] + plain[701:], 0, 1, 0),
        "twice-but-later": (plain[:901] + [700] + plain[901:], 0, 1, 1),
        "two-swapped": (swap(plain, 300), 0, 0, 1),
        "first-out": (plain[1:], 1, 0, 0),
    }
    kirad = b.MemifKirad().start()
    client = admin.AdminClient({"bootstrap.servers": kirad.bootstrap})
    for f in client.create_topics([admin.NewTopic(t, PARTITIONS, 1) for t in doctored]).values():
        f.result(20)
    producer = confluent.Producer({"bootstrap.servers": kirad.bootstrap, "enable.idempotence": True, "linger.ms": 5,
                                   "log_level": 3})
    failed = []
    for topic, (numbers, _, _, _) in doctored.items():
        for part in range(PARTITIONS):
            for n in (numbers if part == 1 else plain):
                producer.produce(topic, struct.pack(">QQ", TAG | n, 0) + b"x" * 20, partition=part,
                                 on_delivery=lambda err, _: err and failed.append(str(err)))
    h.check(producer.flush(120) == 0 and not failed, "producing failed: %s" % failed[:1])
    for topic, (numbers, lost, doubled, reordered) in doctored.items():
        got = b.blast(kirad, topic, ok=(0, 1), verify_only=True)
        want = {"records_lost": lost, "records_duplicated": doubled, "records_reordered": reordered, "offset_gaps": 0,
                "crc_errors": 0, "records_read": (PARTITIONS - 1) * RECORDS + len(numbers), "error": None,
                "exit": 1 if lost or doubled or reordered else 0}
        for key, value in want.items():
            h.check(got[key] == value, "topic %s: %s is %s, wanted %s" % (topic, key, got[key], value))
        h.say("topic %s: lost %d, doubled %d, reordered %d, as it was doctored" % (topic, lost, doubled, reordered))
    kirad.stop()
    h.say("result: %d topics judged rightly, one of them with exactly 1 lost and 1 doubled" % len(doctored))


h.main(body)
