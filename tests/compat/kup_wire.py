# SPDX-License-Identifier: MIT
"""kup_wire.py - the bytes of the Kira produce protocol, from dataplane/PROTOCOL.md alone (section numbers are its).

Pure functions, standard library only: a RecordBatch, the Kafka frames of set-up, every datagram both ways. What
a client does with them: kup.py. tests/golden/wire/ is made by them: wire_vectors.py."""
import struct

MAGIC, VERSION, FLOOR, BASE, ACK_MAX = 0x4B, 1, 256, 1200, 1144
DATA, ACK, PING, PONG, QUERY, RESET, CLOSE = 1, 2, 3, 4, 5, 6, 7
ACK_NOW, DRAIN = 1, 1
WANT_OFFSETS, WANT_DISK = 1, 2
INIT_PRODUCER_ID, OPEN_SESSION = 22, 0x4B49

CRC_TABLE = []
for _n in range(256):
    for _ in range(8):
        _n = (_n >> 1) ^ (0x82F63B78 * (_n & 1))
    CRC_TABLE.append(_n)


def crc32c(data):
    crc, table = 0xFFFFFFFF, CRC_TABLE
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


# ---- a RecordBatch v2 ---------------------------------------------------------------------------------

def unsigned(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def zigzag(n):
    return unsigned(n * 2 if n >= 0 else -n * 2 - 1)


def record(delta, value):
    body = b"\0" + zigzag(0) + zigzag(delta) + zigzag(-1) + zigzag(len(value)) + value + zigzag(0)
    return zigzag(len(body)) + body


def record_batch(values, producer_id=-1, epoch=-1, sequence=-1, ms=1700000000000):
    """Values without keys or headers, uncompressed, all of one time (ms since 1970)."""
    n = len(values)
    covered = struct.pack(">hiqqqhii", 0, n - 1, ms, ms, producer_id, epoch, sequence, n)
    covered += b"".join(record(i, v) for i, v in enumerate(values))
    return struct.pack(">qiibI", 0, 9 + len(covered), -1, 2, crc32c(covered)) + covered


# ---- datagrams (sections 3, 4) ------------------------------------------------------------------------

def datagram(kind, session, secret, body, flags=0, aux=0, size=0):
    head = struct.pack(">BBBBIQ", MAGIC, VERSION << 4 | kind, flags, aux, session, secret)
    return (head + body).ljust(size, b"\0")


def data(session, secret, seq, tx_ts, handle, partition, batch, flags=0, aux=0, size=FLOOR, frag=(0, 1)):
    body = struct.pack(">IIHBBi", seq, tx_ts & 0xFFFFFFFF, handle, frag[0], frag[1], partition) + batch
    return datagram(DATA, session, secret, body, flags, min(aux, 255), size)


def ping(session, secret, number, tx_ts, flags=0, size=FLOOR):
    return datagram(PING, session, secret, struct.pack(">II", number, tx_ts & 0xFFFFFFFF), flags, size=size)


def query(session, secret, first, count, size=FLOOR):
    return datagram(QUERY, session, secret, struct.pack(">IHH", first, count, 0), size=size)


def close(session, secret, number):
    return datagram(CLOSE, session, secret, struct.pack(">II", number, 0), size=FLOOR)


def ack(session, secret, fields, sack=(), results=(), flags=0):
    """fields: log_seq, disk_seq, uplink_seq, credit_limit, max_seq, err_total, ts_echo, echo_delay_us, ce_count,
    throttle_ms, ack_num. results: (first_seq, count, error, partition, handle, base_offset)."""
    f = fields
    body = struct.pack(">7IHHBBHI", *f[:9], len(sack), len(results), f[9], f[10])
    body += b"".join(struct.pack(">Q", w) for w in sack)
    body += b"".join(struct.pack(">IHhiHHq", *r[:5], 0, r[5]) for r in results)
    return datagram(ACK, session, secret, body, flags)


def pong(session, secret, number, ts_echo, received):
    return datagram(PONG, session, secret, struct.pack(">IIHHI", number, ts_echo, received, 0, 0))


def reset(session, secret, echo, reason, incarnation):
    return datagram(RESET, session, secret, struct.pack(">IHHQ", echo, reason, 0, incarnation))


ACK_FIELDS = ("log_seq", "disk_seq", "uplink_seq", "credit_limit", "max_seq", "err_total", "ts_echo",
              "echo_delay_us", "ce_count", "n", "r", "throttle_ms", "ack_num")


def parse(d, session, secret):
    """A broker's datagram as (kind, fields), or None: not ours, or too short for its layout."""
    if len(d) < 16:
        return None
    magic, version_kind, flags, _, its_session, its_secret = struct.unpack_from(">BBBBIQ", d)
    if magic != MAGIC or version_kind >> 4 != VERSION or (its_session, its_secret) != (session, secret):
        return None
    kind = version_kind & 15
    if kind == ACK and len(d) >= 56:
        f = dict(zip(ACK_FIELDS, struct.unpack_from(">7IHHBBHI", d, 16)), flags=flags)
        if f["n"] > 16 or f["r"] > 40 or len(d) < 56 + 8 * f["n"] + 24 * f["r"]:
            return None
        f["sack"] = struct.unpack_from(">%dQ" % f["n"], d, 56)
        at = 56 + 8 * f["n"]
        f["results"] = [struct.unpack_from(">IHhiHxxq", d, at + 24 * i) for i in range(f["r"])]
        return ACK, f
    if kind == PONG and len(d) >= 32:
        return PONG, dict(zip(("id", "ts_echo", "received_len"), struct.unpack_from(">IIH", d, 16)))
    if kind == RESET and len(d) >= 32:
        return RESET, dict(zip(("echo", "reason", "incarnation"), struct.unpack_from(">IHxxQ", d, 16)))
    return None


# ---- set-up over the Kafka port (section 2) -----------------------------------------------------------

def text(s):
    return b"\0" if s is None else unsigned(len(s.encode()) + 1) + s.encode()


def request(key, version, correlation, body, client="kup"):
    """Frame and request header v2, which flexible versions have."""
    head = struct.pack(">hhih", key, version, correlation, len(client)) + client.encode() + b"\0"
    return struct.pack(">i", len(head) + len(body)) + head + body


def response(correlation, body):
    return struct.pack(">ii", len(body) + 5, correlation) + b"\0" + body


def init_producer_id(producer_id=-1, epoch=-1):
    """Version 4: no transaction, any time-out; a pair asks for its next epoch."""
    return text(None) + struct.pack(">iqh", 60000, producer_id, epoch) + b"\0"


def open_session(topics, session=0, secret=0, address=b"", port=0, max_dgram=1472, window=256, capabilities=0):
    """topics: (name, create)."""
    body = struct.pack(">IQ", session, secret) + unsigned(len(address) + 1) + address
    body += struct.pack(">HHHI", port, max_dgram, window, capabilities) + unsigned(len(topics) + 1)
    return body + b"".join(text(name) + bytes([create, 0]) for name, create in topics) + b"\0"


SESSION_FIELDS = (("session_id", "I"), ("secret", "Q"), ("incarnation", "Q"), ("udp_host", None), ("udp_port", "H"),
                  ("max_dgram", "H"), ("window", "H"), ("credit_limit", "I"), ("capabilities", "I"), ("ack_every", "H"),
                  ("ack_delay_us", "I"), ("lease_ms", "I"), ("credit_lease_ms", "I"), ("keepalive_s", "H"))
TOPIC_FIELDS = (("error_code", "h"), ("name", None), ("topic_id", "16s"), ("handle", "H"), ("partitions", "i"),
                ("max_batch_bytes", "i"), ("ack_min", "b"))


def session_answer(f, topics=()):
    """The body of an answer; what f lacks is 0 or empty."""
    out = struct.pack(">ih", f.get("throttle_time_ms", 0), f.get("error_code", 0)) + text(f.get("error_message"))
    out += struct.pack(">h", f.get("api_max", 0))
    for name, form in SESSION_FIELDS:
        out += struct.pack(">" + form, f.get(name, 0)) if form else text(f.get(name, ""))
    out += unsigned(len(topics) + 1)
    for t in topics:
        for name, form in TOPIC_FIELDS:
            out += struct.pack(">" + form, t.get(name, b"" if form == "16s" else 0)) if form else text(t[name])
        out += b"\0"
    return out + b"\0"


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        value, = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(">" + form)
        return value

    def unsigned(self):
        value = shift = 0
        while True:
            byte = self.take("B")
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def text(self):
        n = self.unsigned()
        return None if n == 0 else self.take("%ds" % (n - 1)).decode()

    def tags(self):
        for _ in range(self.unsigned()):
            self.unsigned()
            self.at += self.unsigned()


def parse_response(frame):
    """A frame without its length: (correlation id, a Reader at its body), of flexible versions."""
    r = Reader(frame)
    correlation = r.take("i")
    r.tags()
    return correlation, r


def parse_producer_id(r):
    _, error, producer_id, epoch = r.take("i"), r.take("h"), r.take("q"), r.take("h")
    return error, producer_id, epoch


def parse_session(r):
    f = {"throttle_time_ms": r.take("i"), "error_code": r.take("h"), "error_message": r.text(), "api_max": r.take("h")}
    for name, form in SESSION_FIELDS:
        f[name] = r.take(form) if form else r.text()
    f["topics"] = []
    for _ in range(r.unsigned() - 1):
        f["topics"].append({name: r.take(form) if form else r.text() for name, form in TOPIC_FIELDS})
        r.tags()
    r.tags()
    return f
