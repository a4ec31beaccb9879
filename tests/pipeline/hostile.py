#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --mutations 3000
# asan: --mutations 1000
# long: --minutes {minutes}
# timeout: 240
"""hostile.py - bad Kafka frames get a clear error or a closed connection; kirad lives and serves.

Each case is sent on a connection of its own. After each one a well-formed ApiVersions on a new
connection must be answered within two seconds, and kirad's process must still be the same. At the end
its anonymous memory must not have grown without bound."""
import argparse
import gzip
import os
import re
import struct
import sys
import time
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h
import kafka_wire as k

CLOSED = "closed"
RSS_ALLOWED_KIB = 64 << 10


def snappy_literal(data):
    """Snappy without compression: the length, then literals."""
    out = k.uvarint(len(data))
    for at in range(0, len(data), 60):
        part = data[at:at + 60]
        out += bytes([(len(part) - 1) << 2]) + part
    return out


def zeros_above_64_mib():
    z = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([z.compress(b"\0" * (1 << 24)) for _ in range(5)] + [z.flush()])


ZEROS = zeros_above_64_mib()


class Target:
    def __init__(self, kirad):
        self.kirad = kirad

    def connect(self, timeout=10):
        return k.Connection(self.kirad.host, self.kirad.port, timeout)

    def ask(self, data):
        """The answer's bytes after the size, CLOSED, or a Failed when neither comes within 10 s."""
        with self.connect() as c:
            try:
                got = c.ask(data)
            except TimeoutError:
                raise h.Failed("neither an answer nor a close within 10 s")
        return CLOSED if got is None else got

    def serves(self):
        h.check(self.kirad.lives(), "kirad ended with %s" % self.kirad.process.poll())
        try:
            with self.connect(2) as c:
                got = c.ask(k.request(k.API_VERSIONS, 0))
        except (TimeoutError, OSError) as e:
            raise h.Failed("ApiVersions is not answered within 2 s: %s" % e)
        h.check(got is not None and got[4:6] == b"\0\0", "ApiVersions is not answered")


def produce_error(body, version):
    """The error code of the first partition in a Produce response, versions 3..8."""
    at = 4 + 4
    n = struct.unpack_from(">h", body, at)[0]
    return struct.unpack_from(">h", body, at + 2 + n + 4 + 4)[0]


def produce_offset(body):
    """The base offset of that partition."""
    n = struct.unpack_from(">h", body, 8)[0]
    return struct.unpack_from(">q", body, 10 + n + 4 + 4 + 2)[0]


def sizes(t):
    for size in (0, 1, 7, -1, -2147483648, 2147483647, 101 << 20):
        yield "frame size %d" % size, k.i32(size) + b"\0\3\0\1" + b"\0" * 32, CLOSED
    yield "an OpenSession frame over 32 KiB", k.i32(33 << 10) + k.header(k.OPEN_SESSION, 0), CLOSED
    yield "a Metadata frame over 1 MiB", k.i32((1 << 20) + 1) + k.header(k.METADATA, 1), CLOSED
    yield "a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64, CLOSED
    yield "an HTTP request", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", CLOSED


def keys_and_versions(t):
    for key in (99, -1, 32767, 25, 4, 7, 19272):
        yield "key %d, which is not served" % key, k.request(key, 0, b"\0" * 16), CLOSED
    for key, version in ((k.FETCH, 3), (k.FETCH, 99), (k.METADATA, -1), (k.METADATA, 99), (k.PRODUCE, 2),
                         (k.PRODUCE, 0), (k.LIST_OFFSETS, 0), (k.OPEN_SESSION, 1), (k.INIT_PRODUCER_ID, 99)):
        # OpenSession 1 is answered 35 in the version 0 body (wire rules), all others are closed.
        want = None if key == k.OPEN_SESSION else CLOSED
        yield "key %d version %d" % (key, version), k.request(key, version, b"\0" * 16), want

    def v0_with_35(got):
        return got != CLOSED and got[4:6] == k.i16(35) and got[6:16] == k.i32(1) + k.i16(18) + k.i16(0) + k.i16(4)
    for version in (5, 99, 32767):
        yield "ApiVersions %d: a v0 body with 35" % version, k.request(k.API_VERSIONS, version), v0_with_35
    yield "ApiVersions 3 with a name of blanks: 42", k.request(
        k.API_VERSIONS, 3, k.cstring("a b") + k.cstring("1") + b"\0"), lambda g: g != CLOSED and g[4:6] == k.i16(42)


def bodies(t):
    huge = k.i32(2147483647)
    yield "Metadata with a count of 2^31-1", k.request(k.METADATA, 1, huge), CLOSED
    yield "Metadata with a count of -2", k.request(k.METADATA, 1, k.i32(-2)), CLOSED
    yield "Metadata with a name longer than the frame", k.request(k.METADATA, 1, k.i32(1) + k.i16(500) + b"ab"), CLOSED
    yield "Metadata with a negative name length", k.request(k.METADATA, 1, k.i32(1) + k.i16(-5)), CLOSED
    yield "Fetch with a count of 2^31-1", k.request(
        k.FETCH, 4, k.i32(-1) + k.i32(0) + k.i32(1) + k.i32(1) + k.i8(0) + huge), CLOSED
    yield "Fetch cut in the middle", k.request(
        k.FETCH, 4, k.i32(-1) + k.i32(0) + k.i32(1) + k.i32(1) + k.i8(0) + k.i32(1) + k.string("t") + k.i32(1) + b"\0"), CLOSED
    yield "a header without its client id", k.frame(k.i16(k.METADATA) + k.i16(1) + k.i32(1)), CLOSED
    yield "a client id longer than the frame", k.frame(k.i16(k.METADATA) + k.i16(1) + k.i32(1) + k.i16(32000)), CLOSED
    yield "a header with twenty million tags", k.frame(
        k.i16(k.METADATA) + k.i16(12) + k.i32(1) + k.string("x") + k.uvarint(20000000) + b"\1\0" * 30000), CLOSED
    yield "a body with 65 tags", k.request(k.METADATA, 12, k.uvarint(0) + b"\0\0" + k.uvarint(65) + b"".join(
        k.uvarint(i) + k.uvarint(0) for i in range(65))), CLOSED
    yield "a varint of six bytes", k.request(k.METADATA, 12, b"\xff\xff\xff\xff\xff\x7f"), CLOSED
    yield "bytes behind a well-formed body are ignored", k.request(
        k.METADATA, 1, k.i32(0) + b"junk" * 10), lambda g: g != CLOSED
    many = b"".join(k.string("t%d" % i) + k.i32(0) for i in range(50000))
    yield "Fetch of 50000 topics without partitions", k.request(
        k.FETCH, 4, k.i32(-1) + k.i32(0) + k.i32(1) + k.i32(1) + k.i8(0) + k.i32(50000) + many), None
    yield "CreateTopics with a count that cannot fit", k.request(k.CREATE_TOPICS, 2, k.i32(1 << 28)), CLOSED
    yield "OpenSession with an empty body", k.request(k.OPEN_SESSION, 0), CLOSED
    yield "OpenSession of 60000 topics", k.request(k.OPEN_SESSION, 0, b"\0" * 12 + b"\1" + b"\0\0" + k.i16(1472)
        + k.i16(64) + k.i32(0) + k.uvarint(60001)), CLOSED
    for name in ("", ".", "..", "a/b", "../../etc", "a" * 250, "tab\t", "n\0l", "\u00e9t\u00e9"):
        if name == "":
            raw = k.i16(0)
        else:
            raw = k.i16(len(name.encode())) + name.encode()

        def error_17(got):
            # v1: brokers, controller, topics: the topic's error stands in front of its name
            return got != CLOSED and (k.i16(17) + raw) in got
        yield "Metadata for the topic name %r: 17" % name[:12], k.request(k.METADATA, 1, k.i32(1) + raw), error_17


def produces(t):
    def error(code):
        return lambda got: got != CLOSED and produce_error(got, 7) == code

    def ask(records, acks=1, topic="hostile", partition=0):
        return k.request(k.PRODUCE, 7, k.produce_body(topic, partition, records, acks))
    good = k.batch([b"hello"])
    yield "Produce: a good batch: 0", ask(good), error(0)
    yield "Produce: a wrong CRC: 2", ask(k.batch([b"hello"], crc=1)), error(2)
    yield "Produce: magic 1: 87", ask(k.batch([b"hello"], magic=1)), error(87)
    yield "Produce: null records: 87", ask(None), error(87)
    yield "Produce: a cut batch: 2", ask(good[:-3]), error(2)
    yield "Produce: two batches in one: 87", ask(good + good), error(87)
    yield "Produce: count 5 with one record: 87", ask(k.batch([b"x"], count=5)), error(87)
    yield "Produce: count 0: 87", ask(k.batch([b"x"], count=0)), error(87)
    yield "Produce: codec 7: 76", ask(k.batch([b"x"], attributes=7)), error(76)
    yield "Produce: a control batch: 87", ask(k.batch([b"x"], attributes=0x20)), error(87)
    yield "Produce: a transactional batch: 53", ask(k.batch([b"x"], attributes=0x10, producer=(5, 0, 0))), error(53)
    yield "Produce: LogAppendTime set by the client: 32", ask(k.batch([b"x"], attributes=8)), error(32)
    yield "Produce: a producer id without an epoch: 87", ask(k.batch([b"x"], producer=(5, -1, -1))), error(87)
    yield "Produce: base offset 77: 87", ask(k.batch([b"x"], base_offset=77)), error(87)
    yield "Produce: partition 9 of 1: 3", ask(good, partition=9), error(3)
    yield "Produce: partition -1: 3", ask(good, partition=-1), error(3)
    yield "Produce: a batch over max.message.bytes: 10", ask(k.batch([b"x" * (1 << 21)])), error(10)
    wrong = bytearray(good)
    wrong[8:12] = k.i32(2147483647)
    yield "Produce: batchLength 2^31-1: 2", ask(bytes(wrong)), error(2)
    wrong[8:12] = k.i32(-5)
    yield "Produce: batchLength -5", ask(bytes(wrong)), lambda g: g != CLOSED and produce_error(g, 7) in (2, 87)
    yield "Produce: an error with acks=0 closes", ask(k.batch([b"x"], crc=1), acks=0), CLOSED
    yield "Produce: acks=5", ask(good, acks=5), lambda g: g == CLOSED or produce_error(g, 7) == 21


def largest_times(t):
    """What ListOffsets -3 finds of a batch without its largest timestamp; what a broker of today must mend."""
    def ask(records, topic, version=7):
        return k.request(k.PRODUCE, version, k.produce_body(topic, 0, records))

    def error(code):
        return lambda got: got != CLOSED and produce_error(got, 7) == code
    year = 1600000000000
    packs = (("plain", 0, None), ("gzip", 1, lambda r: gzip.compress(r, mtime=0)), ("snappy", 2, snappy_literal),
             ("xerial snappy", 2, lambda r: b"\x82SNAPPY\0\0\0\0\1\0\0\0\1" + k.i32(len(snappy_literal(r))) + snappy_literal(r)))
    for n, (name, codec, pack) in enumerate(packs):
        at = year + n * 1000
        yield "Produce, %s, maxTimestamp left out: 0" % name, ask(
            k.batch([b"a" * 40, b"b" * 40], attributes=codec, ts=at, max_ts=-1, pack=pack), "times"), error(0)
        yield "and it is that of the records, %s" % name, k.request(
            k.LIST_OFFSETS, 7, k.i32(-1) + b"\0\2" + k.cstring("times") + b"\2" + k.i32(0) + k.i32(-1) + k.i64(-3)
            + b"\0\0\0"), lambda got, at=at: got != CLOSED and k.i64(at) in got
    for codec in (1, 2, 3, 4):
        yield "Produce, codec %d that is none, maxTimestamp left out: 87" % codec, ask(
            k.batch([b"a"], attributes=codec, ts=year, max_ts=-1), "times"), error(87)
        yield "Produce, codec %d that is none, believed: 0" % codec, ask(k.batch([b"a"], attributes=codec), "times"), error(0)
    yield "Produce, zstd in version 6: 76", ask(k.batch([b"a"], attributes=4), "times", 6), error(76)
    yield "Produce, deep: a good batch: 0", ask(k.batch([b"a", b"b"]), "deep"), error(0)
    yield "Produce, deep: two records of one offset: 87", ask(k.batch([b"a", b"b"], deltas=(0, 0)), "deep"), error(87)
    yield "Produce, deep: the same, gzip: 87", ask(
        k.batch([b"a", b"b"], deltas=(0, 0), attributes=1, pack=lambda r: gzip.compress(r)), "deep"), error(87)
    yield "Produce, deep: 80 MiB of zeros in a gzip of 80 KB: 87", ask(
        k.batch([b"a"], attributes=1, pack=lambda r: ZEROS), "deep"), error(87)
    yield "Produce, not deep: two records of one offset: 0", ask(k.batch([b"a", b"b"], deltas=(0, 0)), "times"), error(0)


def sequences(t):
    """Retries, gaps and epochs of an idempotent producer that plays false."""
    base = {}

    def ask(seq, epoch=0, values=(b"s",)):
        return k.request(k.PRODUCE, 7, k.produce_body("hostile", 0, k.batch(list(values), producer=(4711, epoch, seq))))

    def error(code, same_as=None, keep=None):
        def judge(got):
            if got == CLOSED or produce_error(got, 7) != code:
                return False
            offset = produce_offset(got)
            if keep:
                base[keep] = offset
            return same_as is None or offset == base[same_as]
        return judge
    yield "sequence 0, first: 0", ask(0), error(0, keep="first")
    yield "sequence 0 again: its old offset", ask(0), error(0, same_as="first")
    yield "a gap, sequence 2: 45", ask(2), error(45)
    yield "sequence 1: 0", ask(1, values=(b"a", b"b")), error(0, keep="second")
    yield "sequence 1 again: its old offset", ask(1, values=(b"a", b"b")), error(0, same_as="second")
    yield "sequence 2 alone, inside what is stored: 46 or 45", ask(2), lambda g: g != CLOSED and produce_error(g, 7) in (45, 46)
    yield "a new epoch from 5: 45", ask(5, epoch=1), error(45)
    yield "a new epoch from 0: 0", ask(0, epoch=1), error(0)
    yield "the old epoch: 47", ask(3), error(47)


def every_truncation(t):
    """Each request of the table, cut after each byte: an answer would mean it was read past its end."""
    one = {
        k.METADATA: (1, k.i32(1) + k.string("cut")),
        k.LIST_OFFSETS: (1, k.i32(-1) + k.i32(1) + k.string("cut") + k.i32(1) + k.i32(0) + k.i64(-1)),
        k.FETCH: (11, k.i32(-1) + k.i32(0) + k.i32(1) + k.i32(1000) + k.i8(0) + k.i32(0) + k.i32(-1) + k.i32(1)
                  + k.string("cut") + k.i32(1) + k.i32(0) + k.i32(-1) + k.i64(0) + k.i64(-1) + k.i32(1000) + k.i32(0)
                  + k.string("")),
        k.PRODUCE: (7, k.produce_body("cut", 0, k.batch([b"v"]))),
        k.CREATE_TOPICS: (2, k.i32(1) + k.string("cut2") + k.i32(1) + k.i16(1) + k.i32(0) + k.i32(1) + k.string("retention.ms")
                          + k.string("1000") + k.i32(5000) + k.i8(1)),
        k.DELETE_TOPICS: (1, k.i32(1) + k.string("nosuch") + k.i32(1000)),
        k.INIT_PRODUCER_ID: (1, k.string(None) + k.i32(1000)),
        k.OFFSET_FOR_LEADER_EPOCH: (2, k.i32(1) + k.string("cut") + k.i32(1) + k.i32(0) + k.i32(-1) + k.i32(0)),
        k.DESCRIBE_CLUSTER: (0, b"\0\0"),
        k.FIND_COORDINATOR: (2, k.string("g") + k.i8(0)),
        k.OPEN_SESSION: (0, b"\0" * 12 + b"\1\0\0" + k.i16(1472) + k.i16(64) + k.i32(0) + k.uvarint(2) + k.cstring("cut")
                         + b"\0\0" + b"\0"),
    }
    for key, (version, body) in one.items():
        yield "key %d whole" % key, k.request(key, version, body), lambda g: g != CLOSED
        for cut in range(len(body)):
            yield "key %d cut to %d of %d bytes" % (key, cut, len(body)), k.request(key, version, body[:cut]), CLOSED


def run_cases(t, group):
    n = 0
    for name, data, want in group(t):
        got = t.ask(data)
        if want is CLOSED:
            h.check(got == CLOSED, "%s: was to be closed, got %r" % (name, got[:60]))
        elif want is not None:
            h.check(want(got), "%s: got %r" % (name, got if got == CLOSED else got[:80]))
        try:
            t.serves()
        except h.Failed as e:
            raise h.Failed("after %s: %s" % (name, e))
        n += 1
    h.say("%-18s %4d cases" % (group.__name__.replace("_", " "), n))
    return n


def mutations(t, rng, until_done):
    """Random damage to whole requests; anything but a crash or silence for ever is right."""
    seeds = [d for g in (bodies, produces, every_truncation) for name, d, _ in g(t)
             if "cut to" not in name and len(d) < 4096]
    n = 0
    while not until_done(n):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.choice((1, 1, 2, 4, 16))):
            kind = rng.random()
            at = rng.randrange(4, len(data)) if len(data) > 5 else 4
            if kind < 0.5 and at < len(data):
                data[at] = rng.choice((0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)))
            elif kind < 0.7:
                del data[at:at + rng.randrange(1, 9)]
            elif kind < 0.9:
                data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
            else:
                data += bytes(rng.randrange(256) for _ in range(rng.randrange(64)))
        if rng.random() < 0.95:
            data[0:4] = k.i32(len(data) - 4)
        with t.connect() as c:
            try:
                c.send(bytes(data))
                c.sock.settimeout(0.02)
                c.sock.recv(65536)
            except OSError:
                pass
        n += 1
        if n % 50 == 0:
            t.serves()
    t.serves()
    h.say("mutations          %4d sent" % n)
    return n


def slow_and_many(t):
    """Half-sent frames and many connections hold nothing up."""
    open_ones = []
    for n in range(200):
        c = t.connect()
        c.send(k.request(k.METADATA, 1, k.i32(0))[:n % 16 + 1])
        open_ones.append(c)
    t.serves()
    for c in open_ones[:100]:
        c.close()
    t.serves()
    big = [t.connect() for _ in range(8)]
    for c in big:                      # 8 x 90 MiB announced against a budget of 256 MiB: nothing is taken yet
        c.send(k.i32(90 << 20) + k.header(k.PRODUCE, 7))
    t.serves()
    for c in big + open_ones[100:]:
        c.close()
    t.serves()
    late = t.connect(30)               # a size and a half that never get their rest: 10 s, then closed
    late.send(b"\0\0\0\x20\0")
    started = time.monotonic()
    with t.connect() as c:             # pipelined: answers in order
        c.send(b"".join(k.request(k.API_VERSIONS, 0, correlation=i) for i in range(50)))
        for i in range(50):
            got = c.answer()
            h.check(got is not None and got[:4] == k.i32(i), "pipelined answer %d is out of order" % i)
    with t.connect() as c:             # a reader that never reads: kirad must not wait for it
        for i in range(200):
            try:
                c.sock.settimeout(0.05)
                c.send(k.request(k.METADATA, 1, k.i32(-1), correlation=i))
            except OSError:
                break
        t.serves()
    h.check(late.exactly(1) is None and time.monotonic() - started < 25, "a frame begun and left is not closed after 10 s")
    h.say("slow and many         held; a frame begun and left is closed after %.0f s" % (time.monotonic() - started))


def body():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--mutations", type=int, default=3000)
    args.add_argument("--minutes", type=float)
    args = args.parse_args()
    rng = h.seeded()
    t = Target(h.Kirad().start())
    t.ask(k.request(k.METADATA, 1, k.i32(3) + k.string("hostile") + k.string("cut") + k.string("times")))     # auto-create
    t.ask(k.request(k.CREATE_TOPICS, 2, k.i32(1) + k.string("deep") + k.i32(1) + k.i16(1) + k.i32(0) + k.i32(1)
                    + k.string("kira.validate") + k.string("deep") + k.i32(5000) + k.i8(0)))
    t.serves()
    before = t.kirad.status("RssAnon")
    cases = 0
    for group in (sizes, keys_and_versions, bodies, produces, largest_times, sequences, every_truncation):
        cases += run_cases(t, group)
    slow_and_many(t)
    stop = time.monotonic() + args.minutes * 60 if args.minutes else None
    sent = mutations(t, rng, (lambda n: time.monotonic() > stop) if stop else (lambda n: n >= args.mutations))
    after = t.kirad.status("RssAnon")
    h.check(after - before < RSS_ALLOWED_KIB, "anonymous memory grew from %d to %d KiB" % (before, after))
    h.check(not re.search(r"AddressSanitizer|runtime error|invariant broken", t.kirad.process.output()),
            "kirad complained")
    for word in ("TLS", "HTTP"):
        h.check(word in t.kirad.process.output(), "kirad's log does not say that somebody spoke %s to it" % word)
    t.kirad.stop()
    h.say("result: %d cases, %d mutations, RssAnon %d -> %d KiB" % (cases, sent, before, after))


h.main(body)
