# SPDX-License-Identifier: MIT
"""kafka_wire.py - Kafka frames by hand, for tests that send what no client would.

Only what the hostile tests need: a connection, request headers, a record batch, OpenSession's frame.
Field lists: control/kafka/README.md; the UDP protocol: dataplane/PROTOCOL.md."""
import socket
import struct

PRODUCE, FETCH, LIST_OFFSETS, METADATA, FIND_COORDINATOR = 0, 1, 2, 3, 10
API_VERSIONS, CREATE_TOPICS, DELETE_TOPICS, INIT_PRODUCER_ID = 18, 19, 20, 22
OFFSET_FOR_LEADER_EPOCH, DESCRIBE_CLUSTER = 23, 60
OPEN_SESSION = 19273

# First flexible version of each key.
FLEXIBLE = {PRODUCE: 9, FETCH: 12, LIST_OFFSETS: 6, METADATA: 9, FIND_COORDINATOR: 3, API_VERSIONS: 3,
            CREATE_TOPICS: 5, DELETE_TOPICS: 4, INIT_PRODUCER_ID: 2, OFFSET_FOR_LEADER_EPOCH: 4,
            DESCRIBE_CLUSTER: 0, OPEN_SESSION: 0}


def i8(v):
    return struct.pack(">b", v)


def i16(v):
    return struct.pack(">h", v)


def i32(v):
    return struct.pack(">i", v)


def i64(v):
    return struct.pack(">q", v)


def uvarint(v):
    out = b""
    while v >= 0x80:
        out += bytes([v & 0x7f | 0x80])
        v >>= 7
    return out + bytes([v])


def varint(v):
    return uvarint((v << 1) ^ (v >> 63) if v < 0 else v << 1)


def string(s):
    return i16(-1) if s is None else i16(len(s)) + s.encode()


def cstring(s):
    return b"\0" if s is None else uvarint(len(s) + 1) + s.encode()


def header(key, version, correlation=7, client="test"):
    h = i16(key) + i16(version) + i32(correlation) + string(client)
    return h + (b"\0" if version >= FLEXIBLE.get(key, 99) else b"")


def frame(body):
    return i32(len(body)) + body


def request(key, version, body=b"", correlation=7):
    return frame(header(key, version, correlation) + body)


_TABLE = None


def crc32c(data):
    global _TABLE
    if _TABLE is None:
        _TABLE = []
        for n in range(256):
            for _ in range(8):
                n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
            _TABLE.append(n)
    crc = 0xFFFFFFFF
    for b in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ b) & 0xFF]
    return crc ^ 0xFFFFFFFF


def batch(values, producer=(-1, -1, -1), magic=2, attributes=0, ts=1700000000000, crc=None, count=None,
          base_offset=0, max_ts=None, pack=None, deltas=None):
    """A RecordBatch v2 of these values; crc=None computes the right one, pack compresses the records, deltas
    are what the records say of their offsets."""
    records = b""
    for n, v in enumerate(values):
        r = b"\0" + varint(0) + varint(deltas[n] if deltas else n) + varint(-1) + varint(len(v)) + v + varint(0)
        records += varint(len(r)) + r
    count = len(values) if count is None else count
    records = pack(records) if pack else records
    tail = (i16(attributes) + i32(count - 1) + i64(ts) + i64(ts if max_ts is None else max_ts) + i64(producer[0]) + i16(producer[1])
            + i32(producer[2]) + i32(count) + records)
    crc = crc32c(tail) if crc is None else crc
    body = i32(-1) + i8(magic) + struct.pack(">I", crc) + tail
    return i64(base_offset) + i32(len(body)) + body


def produce_body(topic, partition, records, acks=1, timeout=5000):
    return (string(None) + i16(acks) + i32(timeout) + i32(1) + string(topic) + i32(1) + i32(partition)
            + (i32(-1) if records is None else i32(len(records)) + records))


class Connection:
    def __init__(self, host, port, timeout=10):
        self.sock = socket.create_connection((host, port), timeout=timeout)

    def send(self, data):
        self.sock.sendall(data)

    def exactly(self, n):
        """n bytes, or None when the peer closes first."""
        out = b""
        while len(out) < n:
            try:
                more = self.sock.recv(n - len(out))
            except (ConnectionResetError, BrokenPipeError):
                return None
            if not more:
                return None
            out += more
        return out

    def answer(self):
        """The next response without its size: correlation id and body; None: closed."""
        size = self.exactly(4)
        return None if size is None else self.exactly(struct.unpack(">i", size)[0])

    def ask(self, data):
        try:
            self.send(data)
        except (ConnectionResetError, BrokenPipeError):
            return None
        return self.answer()

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.close()


class Refused(Exception):
    """OpenSession was answered by an error; .error is its code."""

    def __init__(self, error, message):
        super().__init__("OpenSession: error %d %s" % (error, message))
        self.error = error


def open_session(host, port, address, udp_port, topic, session=(0, 0)):
    """(connection that anchors it, session id, secret, udp port to send to, first credit); `session`: id and
    secret of one to repeat."""
    c = Connection(host, port)
    body = (struct.pack(">IQ", *session) + uvarint(5) + socket.inet_aton(address) + struct.pack(">H", udp_port) + i16(1472)
            + i16(64) + i32(1) + uvarint(2) + cstring(topic) + b"\1\0" + b"\0")
    got = c.ask(request(OPEN_SESSION, 0, body))
    if got is None:
        raise Refused(-1, "the connection was closed")
    error, = struct.unpack_from(">h", got, 9)                         # behind correlation, tags, throttle
    at = 11
    n = got[at] - 1 if got[at] else 0
    message = got[at + 1:at + 1 + n].decode()
    at += 1 + n
    if error != 0:
        raise Refused(error, message)
    at += 2                                                            # api_max
    sid, secret, _inc = struct.unpack_from(">IQQ", got, at)
    at += 20
    n = got[at] - 1
    at += 1 + n
    to_port, _dgram, _window, credit = struct.unpack_from(">HHHI", got, at)
    return c, sid, secret, to_port, credit


def api_versions(host, port):
    """{key: (min, max)} of a broker."""
    with Connection(host, port) as c:
        body = c.ask(request(API_VERSIONS, 0))
    error, n = struct.unpack_from(">hi", body, 4)
    if error:
        raise ValueError("ApiVersions: error %d" % error)
    return {k: (a, b) for k, a, b in (struct.unpack_from(">hhh", body, 10 + 6 * i) for i in range(n))}
