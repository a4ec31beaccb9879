#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# needs: clients
# timeout: 240
"""delete_records.py - DeleteRecords: the start offset moves, for good, and nothing else does.

By the tool (librdkafka's admin call), by python3-confluent-kafka where it has the call, and by hand in every version.
After each answer kirad is killed with -9: the start offset is the one that was answered. What lies above it is read
back as it was sent, whole segments below it are gone from the disk."""
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h
import kafka_wire as k

RECORDS = 4000
DELETE_RECORDS = 21
k.FLEXIBLE[DELETE_RECORDS] = 2


def line(n):
    return "record %d %s" % (n, chr(97 + n % 26) * 700)


def fill(kirad):
    confluent = h.need_module("confluent_kafka", "python3-confluent-kafka")
    producer = confluent.Producer({"bootstrap.servers": kirad.bootstrap, "acks": "all", "batch.num.messages": 30})
    wrong = []
    for i in range(RECORDS):
        producer.produce("t", line(i), partition=0, on_delivery=lambda e, m: wrong.append(e) if e else None)
    h.check(producer.flush(120) == 0 and not wrong, "not all was acked: %s" % wrong[:1])


def starts_at(kirad, start, end=RECORDS):
    """By ListOffsets, and by what kcat reads from the beginning."""
    _, out, _ = h.run([h.binary("kira"), "topic", "describe", "t", "-b", kirad.bootstrap])
    low, high = out.splitlines()[2].split()[2:4]
    h.check((int(low), int(high)) == (start, end), "the partition is %s to %s, not %d to %d" % (low, high, start, end))
    _, out, _ = h.run([h.need("kcat", "kcat"), "-b", kirad.bootstrap, "-C", "-t", "t", "-p", "0", "-o", "beginning", "-e",
                       "-q", "-f", "%o %s\\n"])
    got = [l.split(" ", 1) for l in out.splitlines()]
    h.check([(int(o), v) for o, v in got] == [(i, line(i)) for i in range(start, end)], "other records than those sent")


def by_hand(kirad, version, parts, timeout=30000):
    """[(partition, start, error)] of DeleteRecords for [(topic, partition, offset)]."""
    flexible = version >= 2
    body = b""
    for topic, partition, offset in parts:
        if flexible:
            body += k.cstring(topic) + b"\x02" + k.i32(partition) + k.i64(offset) + b"\0\0"
        else:
            body += k.string(topic) + k.i32(1) + k.i32(partition) + k.i64(offset)
    body = (k.uvarint(len(parts) + 1) if flexible else k.i32(len(parts))) + body + k.i32(timeout) + (b"\0" if flexible else b"")
    with k.socket.create_connection((kirad.host, kirad.port), 20) as s:
        s.sendall(k.request(DELETE_RECORDS, version, body))
        n = struct.unpack(">i", exactly(s, 4))[0]
        answer = exactly(s, n)
    at = 4 + (1 if flexible else 0) + 4          # correlation, tags, throttle
    at += 1 if flexible else 4
    found = []
    for topic, _, _ in parts:
        at += (1 if flexible else 2) + len(topic) + (1 if flexible else 4)
        found.append(struct.unpack_from(">iqh", answer, at))
        at += 14 + (2 if flexible else 0)
    h.check(at + (1 if flexible else 0) == len(answer), "the answer has %d bytes, not %d" % (len(answer), at))
    return found


def exactly(s, n):
    data = b""
    while len(data) < n:
        more = s.recv(n - len(data))
        h.check(more, "the connection was closed")
        data += more
    return data


def survives(kirad, start):
    starts_at(kirad, start)
    kirad.kill9()
    kirad.start()
    starts_at(kirad, start)


def by_confluent(kirad, offset):
    admin = __import__("confluent_kafka.admin", fromlist=["admin"])
    if not hasattr(admin.AdminClient, "delete_records"):
        return False
    part = __import__("confluent_kafka").TopicPartition("t", 0, offset)
    for f in admin.AdminClient({"bootstrap.servers": kirad.bootstrap}).delete_records([part]).values():
        h.check(f.result().low_watermark == offset, "confluent: %s" % f.result())
    return True


def body():
    kirad = h.Kirad(extra=["--topic-default", "segment.bytes=1048576"]).start()
    fill(kirad)
    where = os.path.join(kirad.data_dir, "t-0")
    first = os.path.join(where, "00000000000000000000.log")
    _, out, _ = h.run([h.binary("kira"), "topic", "delete-records", "t", "--partition", "0", "--before", "7",
                       "-b", kirad.bootstrap])
    h.check(out == "t-0 begins at offset 7\n", "the tool says: " + out)
    survives(kirad, 7)
    h.check(os.path.exists(first), "the first segment has records above the start")
    for version, offset in ((0, 100), (1, 101), (2, 102)):
        got = by_hand(kirad, version, [("t", 0, offset), ("t", 1, 5), ("none", 0, 5)])
        h.check(got == [(0, offset, 0), (1, -1, 3), (0, -1, 3)], "version %d: %s" % (version, got))
        survives(kirad, offset)
    for offset, want in ((50, (0, 102, 0)), (RECORDS + 1, (0, -1, 1)), (-2, (0, -1, 1))):
        h.check(by_hand(kirad, 2, [("t", 0, offset)]) == [want], "offset %d" % offset)
    clients = "the tool, by hand in versions 0 to 2"
    if by_confluent(kirad, 103):
        survives(kirad, 103)
        clients += ", confluent-kafka"
    got = by_hand(kirad, 2, [("t", 0, 3000)])
    h.check(got == [(0, 3000, 0)], "3000: %s" % got)
    h.until(lambda: not os.path.exists(first), 20, "the first segment's file goes")
    survives(kirad, 3000)
    _, out, _ = h.run([h.binary("kira"), "topic", "delete-records", "t", "-b", kirad.bootstrap])
    h.check(out == "t-0 begins at offset %d\n" % RECORDS, "the tool says: " + out)
    survives(kirad, RECORDS)
    kirad.stop()
    code, out, _ = h.run([h.binary("kira"), "check", kirad.data_dir], ok=None)
    h.check(code == 0, "check finds damage:\n" + out)
    h.say("result: start offsets moved by %s, each survived a kill" % clients)


h.main(body)
