#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# asan:
# about: control/kafka/k00_produce.c control/produce_wait.c storage/append.c storage/batch.c storage/producer_state.c
"""produce_rules.py - Produce by hand against kirad, in every version: what each answer says beside its error (offset,
append time, log start, what was wrong), the window of five batches, whose time a batch has, levels, and that a fetch
gives back what was sent, bit for bit, but for the fields that are the broker's."""
import os
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h
import kafka_wire as k

VERSIONS = range(3, 12)
MAX_AHEAD_MS = 60000


def create(c, topic, **configs):
    body = k.i32(1) + k.string(topic) + k.i32(2) + k.i16(1) + k.i32(0) + k.i32(len(configs))
    for name, value in configs.items():
        body += k.string(name.replace("_", ".")) + k.string(value)
    got = c.ask(k.request(k.CREATE_TOPICS, 2, body + k.i32(5000) + k.i8(0)))
    h.check(got[12 + 2 + len(topic):][:2] == b"\0\0", "CreateTopics %s: %r" % (topic, got))


def body_of(version, parts, acks, transactional):
    """parts: (topic, partition, records) each; one topic entry per part."""
    flexible = version >= 9
    text = k.cstring if flexible else k.string
    out = text(transactional) + k.i16(acks) + k.i32(5000) + (k.uvarint(len(parts) + 1) if flexible else k.i32(len(parts)))
    for topic, partition, records in parts:
        out += text(topic) + (k.uvarint(2) if flexible else k.i32(1)) + k.i32(partition)
        if records is None:
            out += b"\0" if flexible else k.i32(-1)
        else:
            out += (k.uvarint(len(records) + 1) if flexible else k.i32(len(records))) + records
        out += b"\0\0" if flexible else b""
    return out + (b"\0" if flexible else b"")


class Reader:
    def __init__(self, data, flexible):
        self.data, self.at, self.flexible = data, 0, flexible

    def take(self, form):
        v, = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(form)
        return v

    def uvarint(self):
        v = shift = 0
        while True:
            b = self.data[self.at]
            self.at += 1
            v |= (b & 0x7f) << shift
            shift += 7
            if b < 0x80:
                return v

    def count(self):
        return self.uvarint() - 1 if self.flexible else self.take("i")

    def text(self):
        n = self.uvarint() - 1 if self.flexible else self.take("h")
        if n < 0:
            return None
        self.at += n
        return self.data[self.at - n:self.at].decode()

    def tags(self):
        if self.flexible:
            h.check(self.uvarint() == 0, "tags that nobody asked for")


def produce(c, version, parts, acks=1, transactional=None):
    """A dict per part, or None: closed."""
    got = c.ask(k.request(k.PRODUCE, version, body_of(version, parts, acks, transactional)))
    if got is None:
        return None
    r = Reader(got, version >= 9)
    h.check(r.take("i") == 7, "correlation id")
    r.tags()
    answers = []
    for _ in range(r.count()):
        topic = r.text()
        for _ in range(r.count()):
            a = {"topic": topic, "partition": r.take("i"), "error": r.take("h"), "offset": r.take("q"), "time": r.take("q"),
                 "start": r.take("q") if version >= 5 else None, "records": [], "message": None}
            if version >= 8:
                for _ in range(r.count()):
                    a["records"].append((r.take("i"), r.text()))
                    r.tags()
                a["message"] = r.text()
            r.tags()
            answers.append(a)
        r.tags()
    h.check(r.take("i") == 0, "throttle time")
    r.tags()
    h.check(r.at == len(got), "bytes behind the answer")
    h.check([(a["topic"], a["partition"]) for a in answers] == [(t, p) for t, p, _ in parts], "topics in order")
    return answers


def fetch(c, topic, offset):
    """The bytes from there on."""
    got = c.ask(k.request(k.FETCH, 4, k.i32(-1) + k.i32(0) + k.i32(1) + k.i32(8 << 20) + k.i8(0) + k.i32(1) + k.string(topic)
                          + k.i32(1) + k.i32(0) + k.i64(offset) + k.i32(8 << 20)))
    at = 4 + 4 + 4 + 2 + len(topic) + 4 + 26
    n, = struct.unpack_from(">i", got, at)
    return got[at + 4:at + 4 + n]


def same_but(sent, stored, offset, what, *fields):
    """`stored` begins with `sent`, but for base offset, leader epoch, and the fields named; its CRC is right."""
    stored = stored[:len(sent)]
    h.check(struct.unpack_from(">q", stored)[0] == offset, "%s: base offset" % what)
    a, b = bytearray(sent), bytearray(stored)
    for at, n in ((0, 8), (12, 4)) + fields:
        a[at:at + n] = b[at:at + n]
    h.check(a == b, "%s: bytes changed" % what)
    h.check(k.crc32c(stored[21:]) == struct.unpack_from(">I", stored, 17)[0], "%s: CRC" % what)


CRC, ATTRIBUTES, MAX_TIME = (17, 4), (21, 2), (35, 8)


def answers_in_every_version(c):
    sent = []
    for v in VERSIONS:
        sent.append(k.batch([b"v%d" % v, b"x"]))
        a, b, d = produce(c, v, [("plain", 0, sent[-1]), ("plain", 7, sent[-1]), ("nosuch", 0, sent[-1])])
        h.check(a["error"] == 0 and a["offset"] == 2 * (v - 3) and a["time"] == -1 and a["start"] in (0, None)
                and not a["records"] and a["message"] is None, "version %d: %s" % (v, a))
        for e in (b, d):
            h.check(e["error"] == 3 and e["offset"] == e["time"] == -1 and e["start"] in (-1, None)
                    and (e["message"] is not None) == (v >= 8), "version %d: %s" % (v, e))
        a, = produce(c, v, [("plain", 1, k.batch([b"x"]))], transactional="tx")
        h.check(a["error"] == 53, "a transactional id: %s" % a)
        a, = produce(c, v, [("plain", 1, k.batch([b"x"]))], acks=2)
        h.check(a["error"] == 21, "acks=2: %s" % a)
        a, = produce(c, v, [("plain", 1, None)])
        h.check(a["error"] == 87, "null records: %s" % a)
        a, = produce(c, v, [("deep", 1, k.batch([b"x", b"y", b"z"], deltas=(0, 1, 1)))])
        h.check(a["error"] == 87 and (v < 8 or (a["records"][0][0] == 2 and a["records"][0][1] and a["message"])), "deep: %s" % a)
        a, = produce(c, v, [("deep", 1, k.batch([b"x"], attributes=4))])
        h.check(a["error"] == (76 if v < 7 else 87) and not a["records"] and (v < 8 or a["message"]), "zstd that is none: %s" % a)
    stored = fetch(c, "plain", 0)
    for n, batch in enumerate(sent):
        same_but(batch, stored, 2 * n, "version %d" % (n + 3))
        stored = stored[len(batch):]
    h.say("versions 3 to 11: offsets, times, starts, messages")


def time_of(stored):
    return struct.unpack_from(">q", stored, 35)[0]


def whose_time(c):
    """Small and large batches: from 16 KiB on the checksum is patched, below it is made anew."""
    last = 0
    offset = 0
    for value in (b"x", b"y" * 16200, b"z" * 16500, b"w" * 900000):
        sent = k.batch([value], ts=1000)
        a, = produce(c, 7, [("stamped", 0, sent)])
        now = time.time() * 1000
        h.check(a["error"] == 0 and last <= a["time"] <= now + 1 and a["time"] > now - MAX_AHEAD_MS, "stamped: %s at %d" % (a, now))
        last = a["time"]
        stored = fetch(c, "stamped", offset)
        same_but(sent, stored, offset, "stamped, %d bytes" % len(sent), CRC, ATTRIBUTES, MAX_TIME)
        h.check(stored[22] & 8 and time_of(stored) == a["time"], "stamped: type and time")
        offset += 1
    sent = k.batch([b"late"] * 3, ts=1600000000000, max_ts=-1)
    a, = produce(c, 7, [("mended", 0, sent)])
    h.check(a["error"] == 0 and a["time"] == -1, "maxTimestamp left out: %s" % a)
    stored = fetch(c, "mended", a["offset"])
    same_but(sent, stored, a["offset"], "mended", CRC, MAX_TIME)
    h.check(time_of(stored) == 1600000000000, "mended: the time")
    h.say("LogAppendTime from 60 bytes to 900,000; a time left out is mended")


def five_batches(c):
    def send(sequence, pid=99, epoch=0, values=(b"a",)):
        a, = produce(c, 8, [("window", 0, k.batch(list(values), producer=(pid, epoch, sequence)))])
        return a["error"], a["offset"]
    first = send(77)
    h.check(first == (0, 0), "an unknown producer begins anywhere: %s" % (first,))
    offsets = [send(78 + n)[1] for n in range(6)]
    h.check(offsets == [1, 2, 3, 4, 5, 6], "in order: %s" % offsets)
    for n in range(1, 6):
        h.check(send(78 + n) == (0, offsets[n]), "one of the last five again: its offset")
    h.check(send(78)[0] == 46 and send(78)[1] == -1, "the sixth last again: 46 without an offset")
    h.check(send(76)[0] == 45, "before what is known: 45")
    h.check(send(83, values=(b"a", b"b"))[0] == 45, "across the end: 45")
    h.check(send(90)[0] == 45, "ahead: 45")
    h.check(send(3, epoch=1)[0] == 45 and send(0, epoch=1)[0] == 0, "a new epoch begins at 0")
    h.check(send(84)[0] == 47, "the old epoch: 47")
    h.check(send(2147483647, pid=100)[0] == 0 and send(0, pid=100)[0] == 0 and send(0, pid=100)[0] == 0, "2^31 - 1, then 0")
    a, = produce(c, 3, [("window", 0, k.batch([b"n"], producer=(99, 0, 84)))], acks=-1)
    h.check(a["error"] == 47, "with acks=-1 too")
    h.say("the window of five")


def levels(kirad):
    with k.Connection(kirad.host, kirad.port) as c:
        for acks in (1, -1):
            a, = produce(c, 9, [("levels", 0, k.batch([b"x"]))], acks=acks)
            h.check(a["error"] == 0, "acks=%d: %s" % (acks, a))
        c.send(k.request(k.PRODUCE, 9, body_of(9, [("levels", 0, k.batch([b"silent"]))], 0, None)))
        a, = produce(c, 9, [("levels", 0, k.batch([b"x"]))])
        h.check(a["offset"] == 3, "what acks=0 sent lies before it, and was not answered: %s" % a)
    with k.Connection(kirad.host, kirad.port) as c:
        h.check(produce(c, 9, [("levels", 0, k.batch([b"x"], crc=1))], acks=0) is None, "an error with acks=0 closes")
    h.say("acks 0, 1, all")


def body():
    kirad = h.Kirad().start()
    with k.Connection(kirad.host, kirad.port) as c:
        for topic in ("plain", "window", "levels", "mended"):
            create(c, topic)
        create(c, "stamped", message_timestamp_type="LogAppendTime")
        create(c, "deep", kira_validate="deep")
        answers_in_every_version(c)
        whose_time(c)
        five_batches(c)
    levels(kirad)
    kirad.stop()
    h.say("result: %d versions, levels, times, the window" % len(VERSIONS))


h.main(body)
