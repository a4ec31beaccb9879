# SPDX-License-Identifier: MIT
"""kill_history.py - kill_load on a topic, the driver's part of the history, and sim_check over both; shared
by the scripts that put kirad through something under load."""
import mmap
import os
import re
import struct
import time

import harness as h

PARTITIONS = 2
PROGRESS = ("acked", "read", "in_flight", "last_ack_ms", "again")      # struct progress of kill_load.h


def now_ms():
    return int(time.monotonic() * 1000)     # the clock of kill_load


class History:
    """What the driver did (tests/sim/history.h)."""

    def __init__(self):
        self.lines = []

    def told(self, word, *more):
        self.lines.append(" ".join(str(x) for x in (word, now_ms()) + more))


class Load:
    """kill_load on a topic that is made for it, its files in a directory of its own."""

    def __init__(self, kirad, topic, level, seed, netns=None, udp=None, config=(), workers=(3, 1, 2, 1), readers=PARTITIONS,
                 pace_us=4000):
        """workers: producers of our own, idempotent and plain, by libkira, by librdkafka. Of the readers those beyond
        the first of each partition go back now and then."""
        self.kirad, self.topic, self.netns = kirad, topic, netns
        self.dir = h.temp_dir()
        h.run([h.binary("kira"), "topic", "create", topic, "--partitions", PARTITIONS, "--bootstrap", kirad.bootstrap,
               "--config", "segment.bytes=1048576", "--config", "kira.ack.all=" + level,
               "--config", "kira.visibility=" + level, *(word for pair in config for word in ("--config", pair))],
              netns=netns)
        kinds = zip(("--exact", "--plain", "--kira", "--rdkafka"), workers)
        self.process = h.Process("kill_load", self.argv(
            "--out", self.dir, "--all", level, "--visible", level, "--readers", readers, "--seed", seed, "--pace-us", pace_us,
            *(word for pair in kinds for word in pair), *(["--udp", udp] if udp else [])), netns=netns)
        h.until(lambda: os.path.exists(self.file("progress")) and os.path.getsize(self.file("progress")), 20, "kill_load runs")
        with open(self.file("progress"), "rb") as f:
            self.words = mmap.mmap(f.fileno(), 8 * len(PROGRESS), prot=mmap.PROT_READ)

    def argv(self, *more):
        return [os.path.join(h.BUILD, "tests", "crash", "kill_load"), "--bootstrap", self.kirad.bootstrap, "--topic",
                self.topic, "--partitions", PARTITIONS, *more]

    def file(self, name):
        return os.path.join(self.dir, name)

    def at(self, name):
        return struct.unpack_from("=Q", self.words, 8 * PROGRESS.index(name))[0]

    def must_live(self):
        h.check(self.process.poll() is None, "kill_load of %s ended by itself: %s" % (
            self.topic, self.process.output()[-1500:]))

    def finish(self):
        """Everything gets its outcome and is read, by readers and then as the final log."""
        self.must_live()
        h.check(self.process.term(150) == 0, "kill_load of %s: %s" % (self.topic, self.process.output()[-1500:]))

    def final(self):
        h.run(self.argv("--final", "--out", self.file("final")), seconds=300, netns=self.netns)

    def allow_retention(self, driver, keep):
        """The log may begin where it does, if so many bytes are left. kirad is stopped, the final log was read."""
        with open(self.file("final")) as f:
            starts = re.findall(r"^final (\d+) (\d+) ", f.read(), re.M)
        for part, start in starts:
            dir = os.path.join(self.kirad.data_dir, "%s-%s" % (self.topic, part))
            kept = sum(os.path.getsize(os.path.join(dir, n)) for n in os.listdir(dir) if n.endswith(".log"))
            h.check(int(start) == 0 or kept >= keep, "partition %s: %d bytes left, retention keeps %d" % (part, kept, keep))
            driver.lines.append("start %s %s" % (part, start))

    def judge(self, driver):
        """sim_check on all of it; its last two lines."""
        with open(self.file("driver"), "w") as f:
            f.write("".join(line + "\n" for line in driver.lines))
            for part in range(PARTITIONS):
                with open(os.path.join(self.kirad.data_dir, "%s-%d" % (self.topic, part), "leader-epoch-checkpoint")) as c:
                    for line in c.read().split("\n")[2:]:
                        if line:
                            f.write("epoch %d %s\n" % (part, line))
        files = [self.file(n) for n in sorted(os.listdir(self.dir)) if n != "progress"]
        code, out, err = h.run([os.path.join(h.BUILD, "tests", "sim", "sim_check"), "--dir", self.kirad.data_dir] + files,
                               seconds=300, ok=(0, 1, 2))
        if code != 0:
            kept = os.path.join(h.TMP, "kira-kill-history-%d-%s" % (os.getpid(), self.topic))
            os.rename(self.dir, kept)
            raise h.Failed("the history of %s, kept in %s: exit %d\n%s%s" % (self.topic, kept, code, out[-3000:], err[-500:]))
        lines = out.strip().split("\n")
        return lines[-2:]
