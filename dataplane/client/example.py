#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""example.py - libkira from Python, by ctypes: example.py TOPIC [BOOTSTRAP] < LINES

Sends each line of standard input as a record, prints where it was stored; exit 1 if one was not. The classes below
mirror <kira/producer.h>, which says what everything means; $LIBKIRA names another libkira.so.0. Callbacks run on the
producer's thread, one at a time; Python takes its own lock for them."""
import ctypes as c
import os
import sys

ANY, NOW, EAGAIN = -1, -2 ** 63, 11     # KIRA_PARTITION_ANY, KIRA_TIMESTAMP_NOW
ACKS = {"none": 0, "log": 1, "disk": 2}
TRANSPORT = {"auto": 0, "udp": 1, "tcp": 2}
ON_RECORD = c.CFUNCTYPE(None, c.c_void_p, c.c_void_p, c.c_int16, c.c_int64)
FIGURES = ("records records_delivered records_failed bytes_delivered batches_udp batches_tcp datagrams retransmits lost "
           "probes sessions epochs_raised rtt_us buffered_bytes bursts bursts_off").split()


class Options(c.Structure):
    _fields_ = [("bootstrap", c.c_char_p), ("client_id", c.c_char_p), ("udp_address", c.c_char_p), ("acks", c.c_int),
                ("transport", c.c_int), ("compression", c.c_int), ("batch_bytes", c.c_uint32), ("linger_us", c.c_uint32),
                ("buffer_bytes", c.c_uint64), ("block_ms", c.c_uint32), ("delivery_timeout_ms", c.c_uint32),
                ("window", c.c_uint32), ("no_idempotence", c.c_bool), ("no_congestion_control", c.c_bool),
                ("no_gso", c.c_bool), ("on_batch", c.c_void_p), ("on_record", ON_RECORD), ("arg", c.c_void_p),
                ("reserved", c.c_uint64 * 8)]


class Record(c.Structure):
    _fields_ = [("key", c.c_char_p), ("value", c.c_char_p), ("key_length", c.c_uint32), ("value_length", c.c_uint32),
                ("partition", c.c_int32), ("timestamp_ms", c.c_int64), ("opaque", c.c_void_p)]


class Stats(c.Structure):
    _fields_ = [(name, c.c_uint64) for name in FIGURES] + [("reserved", c.c_uint64 * 8)]


class Producer:
    """Records of one topic. told(number, error, offset) is called for the number-th record, from 1 on."""

    def __init__(self, topic, bootstrap="127.0.0.1:9092", told=lambda number, error, offset: None, **options):
        self.lib = c.CDLL(os.environ.get("LIBKIRA", "libkira.so.0"))
        self.lib.kira_producer_transport.restype = c.c_char_p
        self.p, self.topic, self.sent = c.c_void_p(), c.c_void_p(), 0
        self.options = Options()        # kept: the callback must live as long as the producer
        self.lib.kira_producer_options_init(c.byref(self.options))
        self.options.bootstrap = bootstrap.encode()
        self.options.on_record = ON_RECORD(lambda arg, opaque, error, offset: told(opaque, error, offset))
        for name, value in options.items():
            setattr(self.options, name, value)
        self._call("kira_producer_open", c.byref(self.p), c.byref(self.options))
        try:
            self._call("kira_topic_open", self.p, topic.encode(), c.c_bool(True), c.byref(self.topic))
        except OSError:
            self.close(0)
            raise

    def _call(self, name, *args):
        text = c.create_string_buffer(512)
        rc = getattr(self.lib, name)(*args, text, c.c_size_t(512))
        if rc < 0:
            raise OSError(-rc, text.value.decode())

    def produce(self, value, key=None, partition=ANY):
        """BlockingIOError: no room within block_ms."""
        rec = Record(key, value, len(key or b""), len(value or b""), partition, NOW, self.sent + 1)
        rc = self.lib.kira_produce(self.topic, c.byref(rec))
        if rc < 0:
            raise OSError(-rc, os.strerror(-rc))    # EAGAIN makes it a BlockingIOError
        self.sent += 1

    def flush(self, timeout_ms):
        return self.lib.kira_flush(self.p, c.c_uint32(timeout_ms)) == 0

    def stats(self):
        s = Stats()
        self.lib.kira_producer_stats(self.p, c.byref(s))
        return {name: getattr(s, name) for name in FIGURES}

    def transport(self):
        return self.lib.kira_producer_transport(self.p, None, c.c_size_t(0)).decode()

    def close(self, timeout_ms=10000):
        return self.lib.kira_producer_close(self.p, c.c_uint32(timeout_ms)) == 0


def main():
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__.split("\n")[0])
    failed = []

    def told(number, error, offset):
        print("record %d: %s" % (number, "error %d" % error if error else "offset %d" % offset))
        if error:
            failed.append(number)

    try:
        producer = Producer(sys.argv[1], *sys.argv[2:], told=told)
    except OSError as e:
        sys.exit("example.py: %s" % e.strerror)
    for line in sys.stdin.buffer:
        producer.produce(line.rstrip(b"\n"))
    producer.close()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
