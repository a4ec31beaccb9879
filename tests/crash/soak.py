#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# long: --minutes {minutes} --seed {seed}
# about: include storage dataplane control tests/crash
# needs: root
"""soak.py - kirad under a steady load for a long time, a random fault every few minutes, memory and descriptors watched.

On 1 GiB of ext4: producers and readers at a pace far below what kirad takes; SIGSTOP, a full disk, connections that
break off, topics made and deleted, a consumer of everything that dies half-way. Kills, a clean stop and one of
each other fault come in the first part; in the rest, which is measured, those that kirad outlives: anonymous
memory by a line through all samples, descriptors that are neither log files nor sockets before and after. At the
end sim_check judges the history."""
import argparse
import os
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "pipeline"))
import harness as h
import kafka_wire as k
from full_disk import Ballast, Disk
from kill_history import History, Load

RSS_MB_PER_H = 1.0
FIRST_PART = 0.4        # of the time: what is allocated once was allocated in it
KEEP = 64 << 20         # bytes that retention leaves of a partition


class Soak:
    def __init__(self, rng, minutes):
        self.rng, self.history = rng, History()
        self.disk = Disk("ext4", (1024, KEEP, "disk", []))
        self.kirad = h.Kirad(data_dir=os.path.join(self.disk.mount, "data"), extra=["--disk-cap", "0.99", "--rewrite-after-ms", "5000"])
        os.mkdir(self.kirad.data_dir)
        self.start()
        self.load = Load(self.kirad, "soak", "disk", rng.randrange(1 << 31), workers=(2, 1, 1, 1), pace_us=10000,
                         config=["retention.bytes=%d" % KEEP, "compression.type=lz4"])
        self.gap = (120, 300) if minutes >= 20 else (minutes * 2.0, minutes * 4.0)      # seconds between two faults
        self.count = {}

    def start(self):
        self.history.told("run", 1 + self.kirad.starts)
        self.kirad.start()
        self.history.told("ready")
        self.born, self.samples, self.fds_at_start = time.monotonic(), [], self.fds()

    def fds(self):
        """Descriptors that are no log files, which retention bounds, and no connections."""
        found = 0
        for fd in os.listdir("/proc/%d/fd" % self.kirad.pid):
            try:
                to = os.readlink("/proc/%d/fd/%s" % (self.kirad.pid, fd))
            except FileNotFoundError:
                continue
            found += not to.startswith("socket:") and not to.endswith((".log", ".pool", " (deleted)"))
        return found

    def watch(self, until):
        while time.monotonic() < until:
            self.load.must_live()
            h.check(self.kirad.lives(), "kirad ended by itself, exit %s" % self.kirad.process.poll())
            self.samples.append((time.monotonic() - self.born, self.kirad.status("RssAnon") * 1024))
            time.sleep(1)       # the pace of the samples

    def flows(self):
        was = self.load.at("acked")
        h.until(lambda: self.load.at("acked") > was + 20, 60, "acks after a fault")

    # ---- faults -----------------------------------------------------------------------------

    def paused(self):
        self.history.told("pause", 5000)
        self.kirad.process.popen.send_signal(signal.SIGSTOP)
        time.sleep(5)
        self.kirad.process.popen.send_signal(signal.SIGCONT)

    def full(self):
        ballast = Ballast(self.disk, 8 << 20)
        self.watch(time.monotonic() + 15)
        ballast.let_go()

    def broken_off(self):
        """200 connections with half a request each."""
        some = [k.Connection(self.kirad.host, self.kirad.port) for _ in range(200)]
        for n, c in enumerate(some):
            c.send(k.request(k.METADATA, 1, k.i32(-1))[:n % 12])
            c.close()

    def topics(self):
        kira = h.binary("kira")
        for n in range(5):
            h.run([kira, "topic", "create", "gone-%d" % n, "--partitions", 4, "--bootstrap", self.kirad.bootstrap])
        h.run([kira, "topic", "delete"] + ["gone-%d" % n for n in range(5)] + ["--bootstrap", self.kirad.bootstrap])

    def half_read(self):
        reader = h.Process("reader", self.load.argv("--final", "--out", self.load.file("progress.half")))
        time.sleep(0.3)
        reader.kill()

    def killed(self):
        self.kirad.kill9()
        self.history.told("kill")
        self.start()

    def stopped(self):
        self.kirad.stop()
        self.history.told("stop")
        self.start()

    def fault(self, one):
        one()
        self.count[one.__name__] = self.count.get(one.__name__, 0) + 1
        self.flows()
        h.say("%s; acked %d, anonymous memory %d KiB" % (one.__name__, self.load.at("acked"), self.kirad.status("RssAnon")))

    def run(self, minutes):
        end = time.monotonic() + minutes * 60
        lasting = [self.paused, self.full, self.broken_off, self.topics, self.half_read]
        first = [self.killed, self.stopped, self.killed] + self.rng.sample(lasting, len(lasting))
        for one in first:
            self.watch(time.monotonic() + minutes * 60 * FIRST_PART / len(first))
            self.fault(one)
        self.samples, todo = [], []
        while time.monotonic() < end:
            todo = todo or self.rng.sample(lasting, len(lasting))
            self.watch(min(end, time.monotonic() + self.rng.uniform(*self.gap)))
            if time.monotonic() < end:
                self.fault(todo.pop())

    # ---- verdicts ---------------------------------------------------------------------------

    def slope(self):
        """MB per hour, of a line through the samples; hours they cover."""
        s = [(t / 3600, v / 1e6) for t, v in self.samples]
        t_mean, v_mean = sum(t for t, _ in s) / len(s), sum(v for _, v in s) / len(s)
        return (sum((t - t_mean) * (v - v_mean) for t, v in s) / sum((t - t_mean) ** 2 for t, _ in s), s[-1][0] - s[0][0])

    def finish(self):
        self.load.finish()
        h.until(lambda: self.fds() <= self.fds_at_start, 20, "descriptors come back to %d: there are %d" % (
            self.fds_at_start, self.fds()))
        self.load.final()
        self.kirad.stop()
        self.history.told("stop")
        if os.path.exists(self.load.file("progress.half")):
            os.unlink(self.load.file("progress.half"))
        self.load.allow_retention(self.history, KEEP)
        return self.load.judge(self.history)


def body():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--minutes", type=float, default=10)
    args.add_argument("--seed", type=int)
    args = args.parse_args()
    if args.seed is not None:
        os.environ["KIRA_SEED"] = str(args.seed)
    h.need_root("mounts")
    soak = Soak(h.seeded(), args.minutes)
    soak.run(args.minutes)
    slope, hours = soak.slope()
    _, verdict = soak.finish()
    # A line through a few minutes says little of an hour: what the memory grew by must be told from noise.
    h.check(slope * hours <= RSS_MB_PER_H * max(hours, 0.5), "anonymous memory grows by %.2f MB/h, over %.2f h" % (slope, hours))
    h.check(len(soak.count) == 7, "a fault that never fired: %s" % soak.count)
    h.say("result: %g min, faults %s; anonymous memory %+.2f MB/h over %.2f h, no descriptor left; %s" % (
        args.minutes, soak.count, slope, hours, verdict))


if __name__ == "__main__":
    h.main(body)
