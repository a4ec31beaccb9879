#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# about: tests/golden/wire tests/compat/kup_wire.py
"""wire_vectors.py - makes tests/golden/wire/ from kup_wire.py, or (without --write) holds the files to it.

Both ways: each file is what is made now, and each answer of a broker in it is read back by kup_wire.parse() and
parse_session() to the fields that stand beside it. The same files are held by C: tests/unit/*/vectors_ut.c."""
import argparse
import os
import socket
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import kup_wire as w
import wire_congestion
import wire_faults
import wire_sequences
from wire_text import INCARNATION, SECRET, SID, vector

FOLDER = os.path.join(os.path.dirname(HERE), "golden", "wire")
MS = 1700000000000
problems = []


def checksums():
    yield vector("check_value", "the CRC-32C that everybody quotes", b"123456789", [("crc32c", 0xE3069283)])
    yield vector("nothing", "no bytes", b"", [("crc32c", 0)])
    yield vector("zeros", "32 bytes of 0 (RFC 3720, B.4)", bytes(32), [("crc32c", 0x8A9136AA)])
    yield vector("ones", "32 bytes of ff (RFC 3720, B.4)", b"\xff" * 32, [("crc32c", 0x62A8AB43)])
    yield vector("rising", "0, 1 .. 31 (RFC 3720, B.4)", bytes(range(32)), [("crc32c", 0x46DD794E)])
    for data, crc in ((b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)):
        if w.crc32c(data) != crc:
            problems.append("crc32c(%r) is %08x" % (data, w.crc32c(data)))


def data_vector(name, what, values, seq=1, tx_ts=1000000, handle=1, partition=0, flags=0, aux=0, size=w.FLOOR, who=(-1, -1, -1)):
    batch = w.record_batch(values, *who, MS)
    d = w.data(SID, SECRET, seq, tx_ts, handle, partition, batch, flags, aux, size)
    return vector(name, what, d, [
        ("from", "client"), ("type", w.DATA), ("flags", flags), ("aux", aux), ("pkt_seq", seq), ("tx_ts", tx_ts),
        ("handle", handle), ("partition", partition), ("batch_length", len(batch)), ("crc32c", struct.unpack_from(">I", batch, 17)[0]),
        ("producer_id", who[0]), ("producer_epoch", who[1]), ("base_sequence", who[2]), ("records", len(values))])


def client_datagrams():
    yield data_vector("data_one_record", "DATA: one record, no producer id, padded to the floor", [b"hello"])
    yield data_vector("data_idempotent", "DATA: ten records of producer 4711", [b"record %d" % i for i in range(10)], seq=3, who=(4711, 0, 20))
    yield data_vector("data_again", "the same sent a third time: same pkt_seq, new tx_ts, aux 2, ACK_NOW",
                      [b"record %d" % i for i in range(10)], seq=3, tx_ts=1020000, flags=w.ACK_NOW, aux=2, who=(4711, 0, 20))
    yield data_vector("data_1472", "DATA that fills 1,472 bytes: MTU 1500 over IPv4", [b"k" * (1472 - 32 - 61 - 9)], who=(4711, 0, 0))
    yield data_vector("data_8972", "DATA that fills 8,972 bytes: MTU 9000 over IPv4", [b"k" * (8972 - 32 - 61 - 11)], who=(4711, 0, 0))
    yield data_vector("data_broker_chooses", "DATA, partition -1: the broker chooses, no producer id", [b"anywhere"], partition=-1)
    yield data_vector("data_wrapped", "DATA: pkt_seq 0 follows 4294967295; tx_ts wraps as well; base_sequence is the last of 31 bits",
                      [b"x"], seq=0, tx_ts=0xFFFFFFFF, who=(1 << 40, 32767, 0x7FFFFFFF))
    for name, size, flags in (("ping", 256, 0), ("ping_1472", 1472, 0), ("ping_ack_now", 256, w.ACK_NOW)):
        yield vector(name, "PING of %d bytes" % size, w.ping(SID, SECRET, 77, 123456, flags, size),
                     [("from", "client"), ("type", w.PING), ("flags", flags), ("id", 77), ("tx_ts", 123456), ("length", size)])
    yield vector("query", "QUERY: what became of 1,024 packets from 4294967290 on?", w.query(SID, SECRET, 0xFFFFFFFA, 1024, w.ACK_MAX),
                 [("from", "client"), ("type", w.QUERY), ("first_seq", 0xFFFFFFFA), ("count", 1024), ("length", w.ACK_MAX)])
    yield vector("close", "CLOSE", w.close(SID, SECRET, 5), [("from", "client"), ("type", w.CLOSE), ("id", 5), ("length", 256)])


def ack_vector(name, what, values, sack=(), results=(), flags=0):
    d = w.ack(SID, SECRET, values, sack, results, flags)
    names = [f for f in w.ACK_FIELDS if f not in "nr"]
    fields = [("from", "broker"), ("type", w.ACK), ("flags", flags)] + list(zip(names, values))
    fields += [("sack", "0x%016x" % s) for s in sack] + [("result", " ".join(map(str, r))) for r in results]
    got = w.parse(d, SID, SECRET)
    if got is None or [got[1][n] for n in names] != list(values) or list(got[1]["sack"]) != list(sack) \
            or got[1]["results"] != list(results):
        problems.append("%s is read back as %r" % (name, got))
    return vector(name, what, d, fields)


def broker_datagrams():
    yield ack_vector("ack_empty", "ACK before any DATA: nothing but credit", (0, 0, 0, 16, 0, 0, 0, 65535, 0, 0, 1))
    yield ack_vector("ack_one_word", "ACK: 3 is missing, 4 to 6 came (PROTOCOL.md, 14, #3)", (2, 0, 0, 258, 6, 0, 1000000, 12, 0, 0, 3), [0xE])
    yield ack_vector("ack_full", "ACK of 1,144 bytes: 16 words, 40 results",
                     (1000, 990, 0, 2024, 2024, 0, 5, 0, 0, 0, 9), [0xFFFFFFFFFFFFFFFE] + [0xFFFFFFFFFFFFFFFF] * 14 + [1 << 63],
                     [(1001 + 2 * i, 1, 0, i, 1 + i % 64, 1 << 40 | i) for i in range(40)])
    yield ack_vector("ack_failures", "ACK: a run of success, 2, 45, a duplicate (46) whose offset is unknown",
                     (40, 0, 0, 296, 40, 3, 777, 65535, 0, 0, 12), [],
                     [(1, 37, 0, 0, 1, 100), (38, 1, 2, 0, 1, -1), (39, 1, 45, 0, 1, -1), (40, 1, 46, 2147483647, 65535, -1)])
    yield ack_vector("ack_wrapped", "ACK: log_seq before 2^32, max_seq and credit_limit behind it; every count at its end",
                     (0xFFFFFFFE, 0xFFFFFFF0, 0, 5, 3, 0xFFFFFFFF, 0xFFFFFFFF, 65534, 65535, 65535, 0xFFFFFFFF), [0x1D],
                     [(0xFFFFFFFF, 2, 0, 0, 1, 0x7FFFFFFFFFFFFFFF)])
    yield ack_vector("ack_drain", "ACK: kirad is stopping; hold back for 250 ms", (9, 9, 0, 9, 9, 0, 1, 0, 3, 250, 4), flags=w.DRAIN)
    yield vector("pong", "PONG: 1,472 bytes arrived", w.pong(SID, SECRET, 77, 123456, 1472),
                 [("from", "broker"), ("type", w.PONG), ("id", 77), ("ts_echo", 123456), ("received_len", 1472)])
    for reason, why in enumerate(("CLOSE", "no TCP anchor for lease_ms", "silence", "withdrawn", "a flush failed"), 1):
        d = w.reset(SID, SECRET, 100 + reason, reason, INCARNATION)
        yield vector("reset_%d" % reason, "RESET: " + why, d, [("from", "broker"), ("type", w.RESET), ("echo", 100 + reason),
                                                               ("reason", reason), ("incarnation", INCARNATION)])
        if w.parse(d, SID, SECRET) != (w.RESET, {"echo": 100 + reason, "reason": reason, "incarnation": INCARNATION}):
            problems.append("reset_%d is not read back" % reason)


REQUESTS = (
    ("open_new", "a new session for one topic, which may be created", dict(topics=[("orders", True)], capabilities=3, port=5000)),
    ("open_no_topic", "a new session without a topic, smallest sizes", dict(topics=[], max_dgram=1200, window=2)),
    ("open_two_topics", "two topics; the broker shall refuse the second", dict(topics=[("orders", False), ("no such", False)], port=5000, window=1024)),
    ("open_repeat", "the same session again, with one topic more", dict(topics=[("more", True)], session=SID, secret=SECRET, port=5000)),
    ("open_any_port", "port 0: bound by the first valid datagram", dict(topics=[("orders", False)], port=0, capabilities=1)),
    ("open_ipv4", "another address than the TCP peer's", dict(topics=[("orders", False)], address=socket.inet_aton("10.77.0.2"), port=65535)),
    ("open_ipv6", "an IPv6 address, jumbo frames", dict(topics=[("orders", False)], address=socket.inet_pton(socket.AF_INET6, "fd00:77::2"),
                                                        port=5000, max_dgram=8972)),
    ("open_long_name", "a name whose length needs two bytes", dict(topics=[("n" * 249, True)], port=5000)))
GRANT = dict(session_id=SID, secret=SECRET, incarnation=INCARNATION, udp_host="10.77.0.1", udp_port=9104, max_dgram=1472, window=256,
             credit_limit=16, capabilities=3, ack_every=16, ack_delay_us=50, lease_ms=10000, credit_lease_ms=200, keepalive_s=10)
TOPIC = dict(error_code=0, name="orders", topic_id=bytes(range(16)), handle=1, partitions=3, max_batch_bytes=1048588, ack_min=1)
ANSWERS = (
    ("answer_granted", "a session, one topic", GRANT, [TOPIC]),
    ("answer_two_topics", "a session; the second topic is not there", GRANT, [TOPIC, dict(TOPIC, error_code=3, name="no such", topic_id=bytes(16),
                                                                                          handle=0, partitions=0, max_batch_bytes=0, ack_min=0)]),
    ("answer_ipv6", "a session on an IPv6 address", dict(GRANT, udp_host="fd00:77::1", max_dgram=8952, capabilities=0), [TOPIC]),
    ("answer_35", "a version not spoken", dict(error_code=35, error_message="version 0 is spoken"), []),
    ("answer_42", "max_dgram below 1,200", dict(error_code=42, error_message="max_dgram is at least 1200"), []),
    ("answer_44", "no UDP from there", dict(error_code=44, error_message="outside produce-from"), []),
    ("answer_70", "no such session: a new one", dict(error_code=70, error_message=None), []),
    ("answer_89", "no session free: again in half a second", dict(throttle_time_ms=500, error_code=89, error_message="no session free"), []))


def set_up():
    for name, what, q in REQUESTS:
        full = dict(session=0, secret=0, address=b"", port=0, max_dgram=1472, window=256, capabilities=0)
        full.update(q)
        fields = [("from", "client"), ("correlation", 7), ("client_id", "kup")]
        fields += [(k, full[k]) for k in ("session", "secret")] + [("address", full["address"].hex() or "-")]
        fields += [(k, full[k]) for k in ("port", "max_dgram", "window", "capabilities")]
        fields += [("topic", "%d %s" % (create, topic)) for topic, create in full["topics"]]
        yield vector(name, "OpenSession: " + what, w.request(w.OPEN_SESSION, 0, 7, w.open_session(**full)), fields)
    for name, what, f, topics in ANSWERS:
        frame = w.response(7, w.session_answer(f, topics))
        got = w.parse_session(w.parse_response(frame[4:])[1])
        if any(got[k] != value for k, value in f.items()) or got["topics"] != list(topics):
            problems.append("%s is read back as %r" % (name, got))
        fields = [("from", "broker"), ("correlation", 7)] + [(k, got[k]) for k in got if k not in ("topics", "error_message", "udp_host")]
        fields += [(k, got[k]) for k in ("error_message", "udp_host") if got[k]]
        fields += [("topic", "%d %d %d %d %d %s" % (t["error_code"], t["handle"], t["partitions"], t["max_batch_bytes"], t["ack_min"], t["name"]))
                   for t in topics]
        yield vector(name, "answer to OpenSession: " + what, frame, fields)


FILES = (
    ("checksums.txt", "CRC-32C over some bytes", checksums),
    ("client.txt", "what a client sends; session 0x%08x, secret 0x%016x" % (SID, SECRET), client_datagrams),
    ("broker.txt", "what a broker sends; session 0x%08x, secret 0x%016x" % (SID, SECRET), broker_datagrams),
    ("open_session.txt", "OpenSession and its answers, whole Kafka frames", set_up),
    ("faults.txt", "what a broker drops or refuses, how it counts it, what it answers", wire_faults.vectors),
    ("sequences.txt", "what becomes of a batch, by what its producer stored before (PROTOCOL.md, 6)", wire_sequences.vectors),
    ("congestion.txt", "what a client sends after which ACK (PROTOCOL.md, 8)", wire_congestion.vectors))


def seeds(folder):
    """Inputs of the fuzz drivers; what a driver takes is told in its head (tests/fuzz)."""
    def put(driver, name, data):
        os.makedirs(os.path.join(folder, driver), exist_ok=True)
        with open(os.path.join(folder, driver, "vector_" + name), "wb") as f:
            f.write(data)

    for one in list(client_datagrams()) + list(wire_faults.vectors()):
        put("datagram", one.name, one.data)
    for one in broker_datagrams():
        if one.fields["type"] == w.RESET:
            continue
        size = len(one.data) - 16
        bits = (0x8000 if one.fields["type"] == w.PONG else 0) | (0x4000 if one.fields.get("flags") else 0)
        head = next(n for n in range(bits, bits + 0x4000) if n % 1200 == size)
        put("ack", one.name, struct.pack(">BBHB", 40, 1, head, 1) + one.data[16:])
    for one in set_up():
        kind = b"\0" + one.data if one.fields["from"] == "client" else bytes([1, one.text.count("\ntopic ")]) + one.data[9:]
        put("open_session", one.name, kind)


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--write", action="store_true", help="make the files, rather than compare")
    args.add_argument("--seeds", metavar="FOLDER", help="instead make inputs of the fuzz drivers datagram, ack, open_session")
    args = args.parse_args()
    if args.seeds:
        seeds(args.seeds)
        return 0
    n = 0
    for name, title, make in FILES:
        vectors = list(make())
        n += len(vectors)
        text = "# %s\n# Made by tests/compat/wire_vectors.py; the format: README.md.\n%s" % (title, "".join(one.text for one in vectors))
        path = os.path.join(FOLDER, name)
        if args.write:
            with open(path, "w") as f:
                f.write(text)
        else:
            with open(path) as f:
                if f.read() != text:
                    problems.append("%s is not what is made now" % name)
    for p in problems:
        print("FAILED: " + p)
    print("result: %d vectors in %d files" % (n, len(FILES)))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
