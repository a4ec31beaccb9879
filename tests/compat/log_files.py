#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""log_files.py - a second reading of a partition's files, from Kafka's format and not from our code.

What DumpLogSegments complains about with --deep-iteration and --index-sanity-check, and more: which
index entries there must be, producer snapshots, epochs. Written against the Kafka sources (LogSegment,
OffsetIndex, TimeIndex, ProducerStateManager), so that a mistake in storage/ is not made twice.

By hand, after a clean stop: log_files.py DIR. Exit 1 with a line per complaint."""
import ctypes
import os
import re
import struct
import sys
import zlib

HEADER = struct.Struct(">qiibIhiqqqhii")
INDEX_INTERVAL = 4096
_isal = ctypes.CDLL("libisal.so.2")
_isal.crc32_iscsi.restype = ctypes.c_uint


def crc32c(data):
    return _isal.crc32_iscsi(bytes(data), len(data), 0xFFFFFFFF) ^ 0xFFFFFFFF


class Batch:
    def __init__(self, position, total, fields, tail_crc):
        self.position, self.total, self.tail_crc = position, total, tail_crc
        (self.base, _, self.epoch, self.magic, self.crc, self.attributes, self.last_delta, self.base_ts, self.max_ts,
         self.pid, self.pid_epoch, self.seq, self.count) = fields
        self.last = self.base + self.last_delta


class Partition:
    """check() fills `complaints`; `batches`, `records` and `files` count what was looked at."""

    def __init__(self, path):
        self.path, self.complaints = path, []
        self.batches = self.records = self.files = self.entries = 0
        self.codecs = set()

    def complain(self, name, text):
        self.complaints.append("%s/%s: %s" % (os.path.basename(self.path.rstrip("/")), name, text))

    def read(self, name):
        self.files += 1
        with open(os.path.join(self.path, name), "rb") as f:
            return f.read()

    def check(self):
        names = sorted(os.listdir(self.path))
        bases = [int(n[:20]) for n in names if re.fullmatch(r"\d{20}\.log", n)]
        if not bases:
            self.complain("", "no segment")
        following, epoch, producers, firsts, merged = bases[0] if bases else 0, -1, {}, [], False
        # Below the first file lies what retention took: its epoch and its producers only the other files know.
        self.start = following
        states = {following: None if self.start else {}}
        for base in bases:
            stem = "%020d" % base
            if base != following:
                self.complain(stem + ".log", "Non-consecutive: begins at %d, the one before ended at %d" % (base, following))
                following = base
            log = self.read(stem + ".log")
            batches = self.log(stem + ".log", log, following, epoch)
            for b in batches:
                if b.epoch != epoch:
                    firsts.append((b.epoch, b.base))
                    epoch = b.epoch
                merged |= b.pid < 0 and b.attributes & 7 == 3
                if b.pid >= 0:
                    producers[b.pid] = (b.pid_epoch, (b.seq + b.last_delta) & 0x7FFFFFFF, b.last, b.last_delta)
                following = b.last + 1
                states[following] = None
            states[following] = dict(producers)
            # Rewritten, it may be: its producers are in the next snapshot alone, which is believed.
            if merged and "%020d.snapshot" % following in names:
                producers, merged, states[following] = self.believe(following), False, None
            self.indexes(stem, base, batches, names, base != bases[-1])
        self.snapshots(names, states)
        self.side_files(names, firsts)
        return self

    def believe(self, offset):
        with open(os.path.join(self.path, "%020d.snapshot" % offset), "rb") as f:
            raw = f.read()
        count = struct.unpack_from(">i", raw, 6)[0] if len(raw) >= 10 else 0
        rows = [struct.unpack_from(">qhiqi", raw, 10 + 46 * i) for i in range(count) if 56 + 46 * i <= len(raw)]
        return {row[0]: row[1:] for row in rows}

    def log(self, name, log, following, epoch):
        position, batches = 0, []
        view = memoryview(log)
        while position < len(log):
            if len(log) - position < HEADER.size:
                self.complain(name, "%d invalid bytes at the end" % (len(log) - position))
                break
            fields = HEADER.unpack_from(log, position)
            total = fields[1] + 12
            if total < HEADER.size or position + total > len(log):
                self.complain(name, "position %d: a batch of %d bytes, invalid bytes" % (position, total))
                break
            b = Batch(position, total, fields, crc32c(view[position + 21:position + total]))
            if b.magic != 2:
                self.complain(name, "position %d: magic %d" % (position, b.magic))
                break
            if b.crc != b.tail_crc:
                self.complain(name, "position %d: isvalid: false, CRC is %08x" % (position, b.tail_crc))
            if b.base != following:
                self.complain(name, "position %d: Non-consecutive offsets: %d follows %d" % (position, b.base, following - 1))
            if b.count != b.last_delta + 1:
                self.complain(name, "position %d: %d records over %d offsets" % (position, b.count, b.last_delta + 1))
            if b.epoch < epoch:
                self.complain(name, "position %d: epoch %d after %d" % (position, b.epoch, epoch))
            self.deep(name, b, log[position + HEADER.size:position + total])
            epoch, following = max(epoch, b.epoch), b.last + 1
            batches.append(b)
            position += total
        self.batches += len(batches)
        return batches

    def deep(self, name, b, blob):
        """Every record: its own length, offset delta, timestamp."""
        codec = b.attributes & 7
        self.codecs.add(codec)
        at = "offset %d" % b.base
        try:
            if codec == 1:
                blob = zlib.decompress(blob, 31)
            elif codec == 3:
                import lz4.frame
                blob = lz4.frame.decompress(blob)
            elif codec:
                self.records += b.count
                return
        except Exception as e:
            self.complain(name, "%s: does not decompress: %s" % (at, e))
            return
        i, n, stamp = 0, 0, None
        try:
            while i < len(blob):
                length, i = varint(blob, i)
                end = i + length
                _, j = blob[i], i + 1
                ts, j = varint(blob, j)
                delta, j = varint(blob, j)
                for _ in range(2):
                    size, j = varint(blob, j)
                    j += max(size, 0)
                headers, j = varint(blob, j)
                for _ in range(headers):
                    for _ in range(2):
                        size, j = varint(blob, j)
                        j += max(size, 0)
                if j != end or end > len(blob) or delta != n:
                    self.complain(name, "%s: record %d: delta %d, ends at %d and not %d" % (at, n, delta, j, end))
                    return
                stamp = b.base_ts + ts if stamp is None else max(stamp, b.base_ts + ts)
                i, n = end, n + 1
        except IndexError:
            self.complain(name, "%s: record %d is cut short" % (at, n))
            return
        if n != b.count:
            self.complain(name, "%s: holds %d records, says %d" % (at, n, b.count))
        elif not b.attributes & 8 and stamp != b.max_ts:
            self.complain(name, "%s: maxTimestamp %d, its records say %d" % (at, b.max_ts, stamp))
        self.records += n

    def indexes(self, stem, base, batches, names, sealed):
        for ending in (".index", ".timeindex"):
            if stem + ending not in names:
                if sealed:
                    self.complain(stem + ending, "missing beside a sealed segment")
                return
        want, want_time, since, top = [], [], 0, None
        for b in batches:
            if top is None or b.max_ts > top[0]:
                top = (b.max_ts, b.last - base)
            if since > INDEX_INTERVAL:
                want.append((b.last - base, b.position))
                if not want_time or top[0] > want_time[-1][0]:
                    want_time.append(top)
                since = 0
            since += b.total
        if top and (not want_time or top[0] > want_time[-1][0]):
            want_time.append(top)
        for ending, form, expected in ((".index", ">ii", want), (".timeindex", ">qi", want_time)):
            raw, size = self.read(stem + ending), struct.calcsize(form)
            if len(raw) % size:
                self.complain(stem + ending, "%d bytes, no multiple of %d" % (len(raw), size))
                continue
            have = list(struct.iter_unpack(form, raw))
            self.entries += len(have)
            for before, after in zip(have, have[1:]):
                if after[0] <= before[0] or after[1] < before[1]:
                    self.complain(stem + ending, "out of order: %s after %s" % (after, before))
                    break
            if have != expected:
                first = next((i for i, (x, y) in enumerate(zip(have, expected)) if x != y), min(len(have), len(expected)))
                self.complain(stem + ending, "Mismatches in entry %d: is %s, must be %s (%d entries, %d expected)" % (
                    first, have[first:first + 1], expected[first:first + 1], len(have), len(expected)))

    def snapshots(self, names, states):
        for name in names:
            if not re.fullmatch(r"\d{20}\.snapshot", name):
                continue
            raw = self.read(name)
            version, crc, count = struct.unpack_from(">hIi", raw) if len(raw) >= 10 else (-1, 0, 0)
            # Behind Kafka's entries Kira's 52 bytes for each (4 in format 1), or, where Kafka wrote it, nothing.
            if version != 1 or len(raw) not in (10 + 46 * count, 10 + 50 * count, 10 + 98 * count) or crc32c(raw[6:]) != crc:
                self.complain(name, "version %d, %d bytes for %d entries, or its CRC is wrong" % (version, len(raw), count))
                continue
            offset = int(name[:20])
            if offset not in states:
                self.complain(name, "stands at no batch boundary")
                continue
            if states[offset] is None:      # inside a segment: a checkpoint's; only the form is checked
                continue
            have = {}
            runs = struct.unpack_from(">%di" % count, raw, 10 + 46 * count) if len(raw) > 10 + 46 * count else ()
            for i in range(count):
                pid, ep, seq, last, delta, _, coordinator, txn = struct.unpack_from(">qhiqiqiq", raw, 10 + 46 * i)
                have[pid] = (ep, seq, last, delta)
                if runs and (runs[i] < 0 or (seq - runs[i]) % 2**31 < delta):
                    self.complain(name, "producer %d: its run begins at %d, above its last batch" % (pid, runs[i]))
                if coordinator != -1 or txn != -1:
                    self.complain(name, "producer %d: transactional fields %d %d" % (pid, coordinator, txn))
            have = {pid: what for pid, what in have.items() if what[2] >= self.start}
            if have != states[offset]:
                self.complain(name, "says %s, the batches say %s" % (
                    sorted(have.items())[:3], sorted(states[offset].items())[:3]))

    def side_files(self, names, firsts):
        text = self.read("partition.metadata").decode() if "partition.metadata" in names else ""
        if not re.fullmatch(r"version: 0\ntopic_id: [A-Za-z0-9_-]{22}\n?", text):
            self.complain("partition.metadata", "%r" % text)
        lines = self.read("leader-epoch-checkpoint").decode().split("\n") if "leader-epoch-checkpoint" in names else []
        try:
            rows = [tuple(map(int, line.split(" "))) for line in lines[2:-1]]
            if lines[0] != "0" or int(lines[1]) != len(rows) or lines[-1] != "":
                raise ValueError
        except (ValueError, IndexError):
            self.complain("leader-epoch-checkpoint", "%r" % lines)
            return
        if any(b[0] <= a[0] or b[1] <= a[1] for a, b in zip(rows, rows[1:])):
            self.complain("leader-epoch-checkpoint", "does not rise: %s" % rows)
        for epoch, first in firsts:
            if (epoch, first) not in rows and not (first == self.start and any(e == epoch and s < first for e, s in rows)):
                self.complain("leader-epoch-checkpoint", "epoch %d begins at %d, the file says %s" % (epoch, first, rows))


def varint(data, i):
    value = shift = 0
    while True:
        c = data[i]
        i += 1
        value |= (c & 0x7F) << shift
        if c < 0x80:
            return value >> 1 ^ -(value & 1), i
        shift += 7


def check_directory(path):
    """Every partition of a data directory, checked."""
    return [Partition(os.path.join(path, n)).check() for n in sorted(os.listdir(path))
            if re.fullmatch(r".+-\d+", n) and os.path.isdir(os.path.join(path, n))]


if __name__ == "__main__":
    done = check_directory(sys.argv[1])
    for part in done:
        print("\n".join(part.complaints) or "%s: %d records in %d batches, %d index entries, %d files" % (
            os.path.basename(part.path), part.records, part.batches, part.entries, part.files))
    sys.exit(1 if not done or any(p.complaints for p in done) else 0)
