#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --partitions 2000
# long: --partitions 10000
# timeout: 240
"""partitions.py - thousands of idle partitions cost a descriptor and a few KiB each: no map, no file of records,
no work; they are created together, and a start and a stop are none the longer for them.

    partitions.py [--partitions N]"""
import argparse
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h

KIB_EACH = 8
IDLE_S, IDLE_SHARE = 3, 0.1


class Cost:
    """What a process holds now."""

    def __init__(self, pid):
        with open("/proc/%d/status" % pid) as f:
            status = f.read()
        self.anon_kib = int(re.search(r"RssAnon:\s+(\d+)", status).group(1))
        self.size_kib = int(re.search(r"VmSize:\s+(\d+)", status).group(1))
        with open("/proc/%d/maps" % pid) as f:
            self.maps = sum(1 for _ in f)
        self.fds = len(os.listdir("/proc/%d/fd" % pid))

    def __str__(self):
        return "RssAnon %.1f MiB, VmSize %d MiB, %d maps, %d descriptors" % (
            self.anon_kib / 1024, self.size_kib >> 10, self.maps, self.fds)


def cpu_s(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def body():
    p = argparse.ArgumentParser()
    p.add_argument("--partitions", type=int, default=2000)
    n = p.parse_args().partitions
    kirad = h.Kirad(extra=["--max-partitions", str(n + 100)])
    kirad.start()
    empty = Cost(kirad.pid)
    h.say("without a topic: %s" % empty)
    t0 = time.monotonic()
    h.run([h.binary("kira"), "topic", "create", "many", "--partitions", n, "--bootstrap", kirad.bootstrap], seconds=220)
    h.say("%d partitions created in %.1f s" % (n, time.monotonic() - t0))
    records = [f for d, _, files in os.walk(kirad.data_dir) for f in files if f.endswith((".log", ".pool"))]
    h.check(not records, "an idle partition has files of records: %s" % records[:3])
    t0 = time.monotonic()
    kirad.stop()
    t1 = time.monotonic()
    kirad.start()
    t2 = time.monotonic()
    full = Cost(kirad.pid)
    h.say("stopped in %.2f s, started again in %.2f s: %s" % (t1 - t0, t2 - t1, full))
    h.check(full.maps <= empty.maps + 64, "%d maps more for %d idle partitions" % (full.maps - empty.maps, n))
    h.check(full.fds <= empty.fds + n + 64, "%d descriptors more" % (full.fds - empty.fds))
    each = (full.anon_kib - empty.anon_kib) / n
    h.check(each <= KIB_EACH, "%.1f KiB of memory for each idle partition" % each)
    was = cpu_s(kirad.pid)
    end = time.monotonic() + IDLE_S
    h.until(lambda: time.monotonic() >= end, IDLE_S + 20, "an idle time")
    used = cpu_s(kirad.pid) - was
    h.check(used <= IDLE_S * IDLE_SHARE, "%.2f s of CPU in %d s without work" % (used, IDLE_S))
    # One of them is used; the others stay as they are.
    h.run([h.binary("kira"), "produce", "--bootstrap", kirad.bootstrap, "--topic", "many", "--acks", "disk",
           "--transport", "tcp"], stdin=b"a\nb\nc\n")
    kirad.kill9()
    t3 = time.monotonic()
    kirad.start()
    h.say("killed, started again in %.2f s" % (time.monotonic() - t3))
    got = h.run([h.binary("kira"), "consume", "--bootstrap", kirad.bootstrap, "--topic", "many", "--exit"], seconds=120)[1]
    h.check(sorted(got.split()) == ["a", "b", "c"], "read back %r" % got[:60])
    kirad.stop()
    print("result: %d partitions: %.1f KiB of memory, %.2f descriptors, %.3f maps each; idle %.1f %% of a CPU; "
          "start %.2f s, stop %.2f s" % (n, each, (full.fds - empty.fds) / n, (full.maps - empty.maps) / n,
                                         100 * used / IDLE_S, t2 - t1, t1 - t0))


h.main(body)
