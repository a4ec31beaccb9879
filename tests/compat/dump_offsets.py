#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# long:
# about: control tests/compat/dump_apache.sh
# needs: clients
# timeout: 540
"""dump_offsets.py - Apache's DumpLogSegments --offsets-decoder reads __consumer_offsets as Kafka's own.

Groups commit, with metadata and without, delete an offset and lose a topic; after a clean stop tests/compat/dump_apache.sh looks at
the files, then each key and value that the tool prints must be what was sent, in order, removals as <DELETE>."""
import json
import os
import re
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "pipeline"))
import harness as h
import kafka_wire as k

VERSION = "3.9.1"
OFFSET_COMMIT, OFFSET_DELETE = 8, 47


def string(s):
    return k.string(None) if s is None else k.i16(len(s.encode())) + s.encode()


def commit(c, group, topic, partition, offset, epoch, metadata):
    body = (string(group) + k.i32(-1) + k.string("") + k.i32(1) + k.string(topic) + k.i32(1) + k.i32(partition)
            + k.i64(offset) + k.i32(epoch) + string(metadata))
    answer = c.ask(k.request(OFFSET_COMMIT, 6, body))
    h.check(answer is not None and struct.unpack(">h", answer[-2:])[0] == 0, "a commit was refused")
    return (group, topic, partition), (offset, epoch, metadata or "")


def dump(jars, log):
    _, out, err = h.run(["java", "-cp", jars + "/*", "kafka.tools.DumpLogSegments", "--offsets-decoder", "--deep-iteration",
                         "--files", log], seconds=120)
    found = []
    for key, value in re.findall(r"key: (\{.*\}) payload: (.*)$", out, re.M):
        key = json.loads(key)
        h.check(key["type"] == "1", "a key of type %s" % key["type"])
        key = tuple(key["data"][n] for n in ("group", "topic", "partition"))
        if value != "<DELETE>":
            value = json.loads(value)
            h.check(value["version"] == "3" and value["data"]["commitTimestamp"] > 1700000000000, "value %s" % value)
            value = tuple(value["data"][n] for n in ("offset", "leaderEpoch", "metadata"))
        found.append((key, value))
    h.check("Exception" not in out + err, (out + err)[-500:])
    return found


def main():
    h.need("java", "default-jdk-headless")
    kirad = h.Kirad()
    kirad.start()
    h.run([h.binary("kira"), "topic", "create", "t", "u", "--partitions", "3", "-b", kirad.bootstrap])
    sent = []
    with k.Connection(kirad.host, kirad.port) as c:
        for i in range(60):
            sent.append(commit(c, "group-%d" % (i % 7), "tu"[i % 2], i % 3, i * i, i % 2 - 1, [None, "", "m" * i][i % 3]))
        sent.append(commit(c, "\u00fcml\u00e4ut \U0001f600", "t", 0, 1 << 40, 0, "\u00e9"))
        c.ask(k.request(OFFSET_DELETE, 0, k.string("group-1") + k.i32(1) + k.string("u") + k.i32(1) + k.i32(1)))
        sent.append((("group-1", "u", 1), "<DELETE>"))
    h.run([h.binary("kira"), "topic", "delete", "u", "-b", kirad.bootstrap])
    kirad.stop()
    part = os.path.join(kirad.data_dir, "__consumer_offsets-0")
    code, out, _ = h.run([os.path.join(h.ROOT, "tests", "compat", "dump_apache.sh"), kirad.data_dir, VERSION], seconds=480, ok=(0, 77))
    if code == 77:
        h.skip("DumpLogSegments is not to be had: %s" % out.strip().splitlines()[-1].replace("skipped: ", ""))
    logs = sorted(f for f in os.listdir(part) if f.endswith(".log"))
    found = [r for f in logs for r in dump(os.path.join(h.ROOT, "build", "kafka-" + VERSION), os.path.join(part, f))]
    h.check(found[:len(sent)] == sent, "the tool reads %s where %s was sent" % next(
        (p for p in zip(found, sent) if p[0] != p[1]), (len(found), len(sent))))
    left = {key for key, value in sent if key[1] == "u"} - {("group-1", "u", 1)}
    h.check({key for key, value in found[len(sent):]} == left and all(v == "<DELETE>" for _, v in found[len(sent):]),
            "removals of a deleted topic's offsets: %s" % found[len(sent):])
    print("result: DumpLogSegments read %d records of __consumer_offsets, %d of them removals" % (
        len(found), 1 + len(left)))
    return 0


h.main(main)
