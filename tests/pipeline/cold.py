#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --mib 24
# long: --mib 1024
# about: include storage dataplane control
# timeout: 240
"""cold.py - a log that is not in memory is read by other threads than the one that serves everybody.

A topic is filled and its files are dropped from the page cache. A consumer reads it all, another looks up a time:
the bytes come from the disk (the process's read_bytes), not one of them through the control thread (its own
read_bytes, which count what a thread made the kernel read). Meanwhile somebody else asks for versions all the time."""
import argparse
import glob
import os
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fill
import harness as h
import kafka_wire as k

NAME = "cold"
SEGMENT = 4 << 20
SHARE = 0.02          # of the bytes: what the files' own metadata may take


def read_bytes(path):
    with open(path) as f:
        return int([line.split()[1] for line in f if line.startswith("read_bytes")][0])


def drop(directory):
    """The sealed segments and their indexes; how many bytes of log that is."""
    gone = 0
    logs = sorted(glob.glob(directory + "/%s-0/*.log" % NAME))[:-1]
    for path in logs + [p for log in logs for p in glob.glob(log[:-4] + ".*index")]:
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        gone += os.fstat(fd).st_size if path.endswith(".log") else 0
        os.close(fd)
    return gone


def fetch(c, offset, limit=1 << 20):
    """(end offset, records) from this offset on; max_wait 0 needs no waiting consumer for an answer."""
    body = c.ask(k.request(k.FETCH, 4, k.i32(-1) + k.i32(500) + k.i32(1) + k.i32(limit) + k.i8(0) + k.i32(1)
                           + k.string(NAME) + k.i32(1) + k.i32(0) + k.i64(offset) + k.i32(limit)))
    h.check(body is not None, "a fetch was closed")
    at = 4 + 4 + 4 + 2 + len(NAME) + 4 + 4
    error, high, _stable, _aborted, length = struct.unpack_from(">hqqii", body, at)
    h.check(error == 0, "a fetch was answered %d" % error)
    h.check(len(body) == at + 26 + length, "an answer is not as long as it says")
    return high, body[at + 26:]


def next_offset(records, offset):
    """Behind the last batch; every batch continues the one before."""
    at = 0
    while at < len(records):
        base, length = struct.unpack_from(">qi", records, at)
        last, = struct.unpack_from(">i", records, at + 23)
        h.check(base <= offset <= base + last, "batch %d does not hold offset %d" % (base, offset))
        stored, = struct.unpack_from(">I", records, at + 17)
        h.check(at > 0 or k.crc32c(records[at + 21:at + 12 + min(length, 4096)]) == stored or length > 4096,
                "a batch was damaged on the way")
        offset = base + last + 1
        at += 12 + length
    return offset


def offset_at(c, timestamp):
    body = c.ask(k.request(k.LIST_OFFSETS, 1, k.i32(-1) + k.i32(1) + k.string(NAME) + k.i32(1) + k.i32(0)
                           + k.i64(timestamp)))
    error, _time, offset = struct.unpack_from(">hqq", body, 4 + 4 + 2 + len(NAME) + 4 + 4)
    h.check(error == 0, "a look-up by time was answered %d" % error)
    return offset


class Asker(threading.Thread):
    """Somebody else, all the time."""
    def __init__(self, kirad):
        super().__init__(daemon=True)
        self.c, self.over, self.longest, self.n = k.Connection(kirad.host, kirad.port, 60), False, 0, 0

    def run(self):
        while not self.over:
            begun = time.monotonic()
            self.c.ask(k.request(k.API_VERSIONS, 0))
            self.longest = max(self.longest, time.monotonic() - begun)
            self.n += 1
            time.sleep(0.0005)


def body():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--mib", type=int, default=24)
    args = args.parse_args()
    kirad = h.Kirad(extra=["--topic-default", "segment.bytes=%d" % SEGMENT]).start()
    fill.topic(kirad, NAME, args.mib << 20, value=8 << 10, acks="all")
    directory = kirad.data_dir
    c = k.Connection(kirad.host, kirad.port, 60)
    own = "/proc/%d/task/%d/io" % (kirad.pid, kirad.pid)
    whole = "/proc/%d/io" % kirad.pid
    h.until(lambda: len(glob.glob(directory + "/%s-0/*.log" % NAME)) > args.mib * (1 << 20) // SEGMENT // 2, 30,
            "the topic has segments")
    h.until(lambda: kirad.count("segments_sealed") >= len(glob.glob(directory + "/%s-0/*.log" % NAME)) - 1, 60, "all but the last are sealed")
    size = drop(directory)
    before, before_own = read_bytes(whole), read_bytes(own)
    asker = Asker(kirad)
    asker.start()
    begun, offset, high = time.monotonic(), 0, 1
    while offset < high:
        high, records = fetch(c, offset)
        h.check(records or offset == high, "an empty answer below the end, at %d of %d" % (offset, high))
        offset = next_offset(records, offset)
    seconds = time.monotonic() - begun
    asker.over = True
    asker.join(30)
    read, read_own = read_bytes(whole) - before, read_bytes(own) - before_own
    if read < size * 0.8:
        h.skip("the page cache does not let go of files here: %d of %d bytes were read again" % (read, size))
    h.check(read_own < size * SHARE, "the control thread read %d of %d bytes itself" % (read_own, size))
    h.check(kirad.count("cold_reads") > 0, "no read-ahead was asked for")
    h.say("%.0f MiB from disk, %.0f MiB/s; control itself read %.2f %%; others waited %.1f ms at most (of %d)" % (
        size / (1 << 20), size / (1 << 20) / seconds, 100 * read_own / size, asker.longest * 1000, asker.n))

    now = int(time.time() * 1000)
    drop(directory)
    before_own = read_bytes(own)
    first = offset_at(c, 0)
    h.check(first == 0, "the first record is at %d" % first)
    h.check(offset_at(c, now + 3600000) == -1, "a time that has not come has an offset")
    look_own = read_bytes(own) - before_own
    h.check(look_own < max(size * SHARE, 65536), "the control thread read %d bytes for a look-up by time" % look_own)
    h.check(kirad.count("read_failures") == 0, "a cold read was counted as a failure")
    kirad.stop()
    h.say("result: %.0f MiB cold at %.0f MiB/s, %.2f %% of it read by control; somebody else waited %.1f ms at most" % (
        size / (1 << 20), size / (1 << 20) / seconds, 100 * read_own / size, asker.longest * 1000))


h.main(body)
