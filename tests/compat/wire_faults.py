# SPDX-License-Identifier: MIT
"""wire_faults.py - one datagram per check of PROTOCOL.md 5.1 (V1-V5, D1-D6): what it counts, what is answered.

For wire_vectors.py. The session is LIVE, granted to 10.0.0.2:5000 with max_dgram 1472, one handle on 3 partitions;
a line `given` says what happened before. V1 needs whole frames: from 02:00:00:00:00:02 to 02:00:00:00:00:01,
10.0.0.2:5000 to 10.0.0.1:9104."""
import struct

import kup_wire as w
import wire_text as v

BATCH = w.record_batch([b"record %d" % i for i in range(10)], 4711, 0, 0, 1700000000000)
UNNUMBERED = w.record_batch([b"record"], ms=1700000000000)


def folded(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def frame(payload, udp_length=None, fragment=0, ip_flaw=0, udp_flaw=0):
    ends = bytes([10, 0, 0, 2, 10, 0, 0, 1])
    udp_length = udp_length or 8 + len(payload)
    udp = struct.pack(">HHHH", 5000, 9104, udp_length, 0)
    total = folded(ends + struct.pack(">HH", 17, udp_length) + udp + payload) ^ udp_flaw
    udp = udp[:6] + struct.pack(">H", total) + payload
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, fragment, 64, 17, 0) + ends
    ip = ip[:10] + struct.pack(">H", folded(ip) ^ ip_flaw) + ip[12:]
    return bytes.fromhex("0200000000010200000000020800") + ip + udp


def data(seq=1, handle=1, partition=0, batch=BATCH, frag=(0, 1), sid=None, secret=None):
    return w.data(v.SID if sid is None else sid, v.SECRET if secret is None else secret, seq, 1000, handle, partition, batch,
                  frag=frag)


def vectors():
    ping = w.ping(v.SID, v.SECRET, 1, 1000)
    good = data()

    def one(name, what, payload, counts="-", answer="none", error=0, given="-", layer="payload", source=5000):
        return v.vector(name, what, payload, [("layer", layer), ("given", given), ("source", source), ("counts", counts),
                                              ("answer", answer), ("error", error)])

    yield one("good", "no fault at all: an ACK with a result of error 0", good, answer="ACK")
    yield one("v1_runt", "V1: the UDP length is beyond the frame", frame(good, udp_length=1400), "drop_runt", layer="frame")
    yield one("v1_fragment", "V1: more fragments follow", frame(good, fragment=0x2000), "drop_fragment", layer="frame")
    yield one("v1_sum_ip", "V1: the IPv4 checksum is wrong", frame(good, ip_flaw=0x0100), "drop_sum_ip", layer="frame")
    yield one("v1_sum_udp", "V1: the UDP checksum is wrong", frame(good, udp_flaw=0x0100), "drop_sum_udp", layer="frame")
    yield one("v2_floor", "V2: 255 bytes", ping[:255], "drop_length")
    yield one("v2_too_long", "V2: 1,473 bytes, max_dgram is 1,472", ping + bytes(1217), "drop_length")
    yield one("v2_magic", "V2: not this protocol", b"\x4c" + ping[1:], "drop_magic")
    yield one("v2_version", "V2: version 2", b"\x4b\x23" + ping[2:], "drop_magic")
    yield one("v2_type", "V2: ACK, which clients do not send", b"\x4b\x12" + ping[2:], "drop_type")
    yield one("v2_type_unknown", "V2: type 9", b"\x4b\x19" + ping[2:], "drop_type")
    yield one("v3_slot", "V3: a slot that nobody has", w.ping(0x00000003, v.SECRET, 1, 1000), "drop_no_session")
    yield one("v3_zero", "V3: session 0", w.ping(0, 0, 1, 1000), "drop_no_session")
    yield one("v3_range", "V3: a slot out of range", w.ping(0x00FFFFFF, v.SECRET, 1, 1000), "drop_no_session")
    yield one("v4_secret", "V4: one bit of the secret", w.ping(v.SID, v.SECRET ^ 1, 1, 1000), "drop_auth")
    yield one("v5_port", "V5: from port 5001", ping, "drop_peer", source=5001)
    yield one("d1_credit", "D1: pkt_seq beyond the first limit, 16", data(17), "drop_over_credit", "ACK")
    yield one("d2_again", "D2: pkt_seq 1, final already", good, "drop_dup", "ACK", given="received")
    yield one("d3_fragments", "D3: frag_cnt 2", data(frag=(0, 2)), answer="ACK", error=42)
    yield one("d3_chooses", "D3: partition -1 with a producer id", data(partition=-1), answer="ACK", error=42)
    yield one("d4_short", "D4: a batchLength below a header's", data(batch=BATCH[:8] + struct.pack(">i", 48) + BATCH[12:]), answer="ACK", error=2)
    yield one("d4_long", "D4: a batchLength beyond the datagram", data(batch=BATCH[:8] + struct.pack(">i", 1500) + BATCH[12:]), answer="ACK", error=2)
    yield one("d4_negative", "D4: a negative batchLength", data(batch=BATCH[:8] + struct.pack(">i", -1) + BATCH[12:]), answer="ACK", error=2)
    yield one("d5_handle", "D5: handle 2 of 1", data(handle=2), answer="ACK", error=3)
    yield one("d5_handle_zero", "D5: handle 0", data(handle=0), answer="ACK", error=3)
    yield one("d5_partition", "D5: partition 3 of 3", data(partition=3), answer="ACK", error=3)
    yield one("d5_below", "D5: partition -2", data(partition=-2, batch=UNNUMBERED), answer="ACK", error=3)
    yield one("d6_full", "D6: no room in the ring to its storage lcore", data(9), "drop_ring_full", given="full")
    yield one("ended_data", "DATA to a session in state ENDED", good, answer="RESET", given="ended")
    yield one("ended_ping", "PING to a session in state ENDED", ping, answer="RESET", given="ended")
    yield one("draining", "DATA while kirad stops: the ACK has DRAIN", good, "drop_draining", "ACK", given="draining")
