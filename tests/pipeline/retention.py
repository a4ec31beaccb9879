#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# needs: clients
# timeout: 240
"""retention.py - whole segments go by size while records come, and by time when none come any more.

The last one too: a partition that went silent is rolled by order. What is left begins at the start offset
that clients are told, is dense, and survives a restart; the files that went are gone from the directory."""
import glob
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h

MIB = 1 << 20
AROUND = 9      # bytes of a record besides its value, at the least


def offsets(kcat, kirad, topic):
    """(start, end) as ListOffsets tells them."""
    found = []
    for at in (-2, -1):
        _, out, _ = h.run([kcat, "-b", kirad.bootstrap, "-Q", "-t", "%s:0:%d" % (topic, at)])
        found.append(int(re.search(r"offset (-?\d+)", out).group(1)))
    return tuple(found)


def read_offsets(kcat, kirad, topic):
    _, out, _ = h.run([kcat, "-b", kirad.bootstrap, "-C", "-t", topic, "-o", "beginning", "-e", "-q",
                       "-X", "check.crcs=true", "-f", "%o\n"])
    return [int(x) for x in out.split()]


def produce(kcat, kirad, topic, n, size):
    h.run([kcat, "-b", kirad.bootstrap, "-P", "-t", topic], stdin=b"\n".join([b"x" * size] * n))


def logs(kirad, topic):
    return sorted(os.path.basename(p) for p in glob.glob(os.path.join(kirad.data_dir, topic + "-0", "*.log")))


def body():
    kcat = h.need("kcat", "kcat")
    kira = h.binary("kira")
    kirad = h.Kirad().start()
    for name, config in (("size", ["retention.bytes=%d" % (3 * MIB), "segment.bytes=%d" % MIB]),
                         ("time", ["retention.ms=2000", "segment.bytes=%d" % MIB])):
        h.run([kira, "topic", "create", name, "--bootstrap", kirad.bootstrap, "--partitions", "1"] +
              [x for c in config for x in ("--config", c)])

    produce(kcat, kirad, "size", 10000, 1000)
    h.until(lambda: offsets(kcat, kirad, "size")[0] > 0, 30, "segments to go by size")
    h.until(lambda: len(logs(kirad, "size")) <= 6, 30, "the files to go too")
    start, end = offsets(kcat, kirad, "size")
    got = read_offsets(kcat, kirad, "size")
    h.check(end == 10000 and got == list(range(start, end)),
            "by size: start %d, end %d, read %d records from %s" % (start, end, len(got), got[:1]))
    h.check(len(got) * (1000 + AROUND) >= 3 * MIB, "by size: only %d records are left, less than retention.bytes" % len(got))

    produce(kcat, kirad, "time", 3000, 1000)
    h.check(offsets(kcat, kirad, "time")[1] == 3000, "by time: not all were stored")
    h.until(lambda: offsets(kcat, kirad, "time") == (3000, 3000), 60, "all of a silent topic to expire")
    h.until(lambda: logs(kirad, "time") == ["%020d.log" % 3000], 30, "its files to go")
    h.check(read_offsets(kcat, kirad, "time") == [], "by time: records are read after they expired")

    kirad.stop()
    kirad.start()
    h.check(offsets(kcat, kirad, "time") == (3000, 3000), "the start offset did not survive a restart")
    h.check(offsets(kcat, kirad, "size") == (start, end), "the start offset did not survive a restart")
    produce(kcat, kirad, "time", 10, 10)
    h.check(read_offsets(kcat, kirad, "time") == list(range(3000, 3010)), "offsets do not go on at the end")
    kirad.stop()


h.main(body)
