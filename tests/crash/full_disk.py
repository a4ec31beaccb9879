#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --rounds 9
# long: --rounds 100 --within 2 --seed {seed}
# about: include storage dataplane control tests/sim/sim_check_rules.c tests/crash
# needs: root
# timeout: 400
"""full_disk.py - disks are filled to the last block under load and freed again; kirad waits, serves, goes on.

48 MB of ext4, 320 MB of XFS, 32 MB of tmpfs hold the data directory in turn; a ballast file eats the rest,
and what retention frees, until acks cease. Then kirad must live, its consumers read on, a Produce request be
answered 56 after a second though its own time limit is shorter. Of a new producer whose first batch was refused so,
a later one must not be stored before that came again. Once there is room again, acks must come
within 2 s (--within: the best of three; without it five times as long). One kirad per disk is killed
while its disk is full, and started again on it. At the end sim_check judges the history of all that was sent, acked and read."""
import argparse
import os
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "pipeline"))
import harness as h
import kafka_wire as k
from kill_history import PARTITIONS, History, Load, now_ms

RESUME_S, SLACK = 2.0, 5        # a busy machine may take SLACK times as long
STALLED_MS = 700                # no ack for so long: the disk is full to kirad, too
PROBE_ID, PROBE_BYTES = 9000, 200000     # small ones may still find a place
# name: (MB, bytes that retention leaves, level of acks=all, more flags of kirad)
DISKS = {"ext4": (48, 3 << 20, "disk", []), "xfs": (320, 48 << 20, "disk", []), "tmpfs": (32, 2 << 20, "log", ["--volatile"])}


class Disk:
    def __init__(self, fs, what=None):
        self.fs, (self.mb, self.keep, self.level, self.flags) = fs, what or DISKS[fs]
        tmp = h.temp_dir()
        self.mount = os.path.join(tmp, "mnt")
        os.mkdir(self.mount)
        if fs == "tmpfs":
            argv = ["mount", "-t", "tmpfs", "-o", "size=%dm" % self.mb, "kira-full", self.mount]
        else:
            h.need("mkfs." + fs, {"ext4": "e2fsprogs", "xfs": "xfsprogs"}[fs])
            image = os.path.join(tmp, "image")
            with open(image, "wb") as f:
                f.truncate(self.mb << 20)
            h.run(["mkfs." + fs, "-q"] + (["-m", "0", "-F"] if fs == "ext4" else []) + [image])
            argv = ["mount", "-o", "loop", image, self.mount]
        code, _, err = h.run(argv, ok=None)
        if code != 0:
            h.skip("no mount of %s here (%s)" % (fs, err.strip()))
        h.at_exit(subprocess.call, ["umount", "-l", self.mount])

    def free(self):
        s = os.statvfs(self.mount)
        return s.f_bavail * s.f_frsize


class Ballast(threading.Thread):
    """Eats what is free, at once or in bites, and what comes free, until it is let go."""

    def __init__(self, disk, bite):
        super().__init__(daemon=True)
        self.path, self.bite, self.ended = os.path.join(disk.mount, "ballast"), bite, threading.Event()
        self.start()

    def run(self):
        with open(self.path, "wb") as f:
            eaten = 0
            while not self.ended.is_set():
                for step in (self.bite, 1 << 16, 1 << 12):
                    try:
                        while not self.ended.is_set():
                            os.posix_fallocate(f.fileno(), eaten, step)
                            eaten += step
                            self.ended.wait(0.002 if step == self.bite else 0)
                    except OSError:
                        pass
                self.ended.wait(0.005)

    def hold(self):
        """What it has, and no more: what somebody frees is his."""
        self.ended.set()
        self.join()

    def let_go(self):
        """All of it; the moment at which there was room."""
        self.hold()
        begun = time.monotonic()
        os.unlink(self.path)
        return begun


class Bench:
    """A kirad on a disk, under load."""

    def __init__(self, disk, rng):
        self.disk, self.rng, self.history = disk, rng, History()
        # The cap would delete the oldest segments first: this test wants the disk itself to be the limit.
        self.kirad = h.Kirad(data_dir=os.path.join(disk.mount, "data"), extra=["--disk-cap", "0.99"] + disk.flags)
        os.mkdir(self.kirad.data_dir)
        self.start()
        self.load = Load(self.kirad, "full", disk.level, rng.randrange(1 << 31), workers=(3, 1, 0, 1),
                         config=["retention.bytes=%d" % disk.keep])
        self.probed, self.refused = [0] * PARTITIONS, [0] * PARTITIONS
        self.newcomers, self.came_again = 0, 0
        self.resumed, self.reads, self.kills, self.full = [], 0, 0, 0

    def start(self):
        self.history.told("run", 1 + self.kirad.starts)
        self.kirad.start()
        self.history.told("ready")

    def flows(self, more, seconds, what):
        was = self.load.at("acked")
        h.until(lambda: self.load.at("acked") >= was + more, seconds, what)

    def produce(self, part, unit, length, producer=(-1, -1, -1)):
        """One record, the unit (id, epoch, number), under a time limit of 300 ms: its error, and after how long."""
        value = (b"KIRAUNIT" + struct.pack(">qiii4x", *unit, 1)).ljust(length, b".")
        self.history.told("send", *unit, 1, part, "%x" % (k.crc32c(value) << 32 | len(value)))
        batch = k.batch([value], ts=int(time.time() * 1000), producer=producer)
        begun = time.monotonic()
        with k.Connection(self.kirad.host, self.kirad.port, timeout=20) as c:
            body = c.ask(k.request(k.PRODUCE, 3, k.produce_body("full", part, batch, timeout=300)))
        took = time.monotonic() - begun
        h.check(body is not None, "the connection of a produce request was closed on a full disk")
        error, offset = struct.unpack_from(">hq", body, 4 + 4 + 2 + len("full") + 4 + 4)
        if error == 0:
            self.history.told("ack", *unit, part, "log", offset, -1)
        return error, took

    def probe(self, part):
        """A large batch: stored, or refused after a second, and surely not stored."""
        error, took = self.produce(part, (PROBE_ID, -1, self.probed[part]), PROBE_BYTES)
        self.probed[part] += 1
        h.check(error in (0, 56), "a produce request on a full disk is answered %d after %.2f s, not 56" % (error, took))
        if error != 0:
            h.check(0.9 < took < SLACK, "56 after %.2f s, not after about 1 s" % took)
            self.refused[part] += 1
        return error

    def newcomer(self, part, number):
        """Batch 0 or 1 of the latest idempotent producer: its error. The first is large."""
        unit = (PROBE_ID + self.newcomers, 0, number)
        return self.produce(part, unit, PROBE_BYTES if number == 0 else 100, unit)[0]

    def refuse_newcomer(self, part):
        give_up, error = time.monotonic() + 90, 0
        while error != 56:
            h.check(error == 0 and time.monotonic() < give_up, "the first batch of a producer is answered %d, for 90 s not 56" % error)
            self.newcomers += 1
            error = self.newcomer(part, 0)

    def comes_again(self, part):
        """Sent on before its client heard that the first was refused, the second must not be stored before it."""
        for number, want in (1, 45), (0, 0), (1, 0):
            give_up, error = time.monotonic() + 30, 56
            while error == 56 and time.monotonic() < give_up:
                error = self.newcomer(part, number)
            h.check(error == want, "of a producer whose first batch was refused, batch %d is answered %d, not %d" % (number, error, want))
        self.came_again += 1

    def fill(self, part, give_up):
        while self.probe(part) == 0:
            h.check(time.monotonic() < give_up, "no stall for 90 s, free: %d" % self.disk.free())

    def stalls(self):
        """Until large batches find no room in any partition, small ones neither, and kirad has met the end of the disk."""
        give_up = time.monotonic() + 90
        with ThreadPoolExecutor(PARTITIONS) as threads:
            for answer in [threads.submit(self.fill, part, give_up) for part in range(PARTITIONS)]:
                answer.result()
        while now_ms() - self.load.at("last_ack_ms") < STALLED_MS or self.kirad.count("disk_full") == self.full:
            self.load.must_live()
            h.check(self.kirad.lives(), "kirad ended on a full disk, exit %s" % self.kirad.process.poll())
            h.check(time.monotonic() < give_up, "no stall for 90 s: free %d, disk_full %d, last ack %d ms ago" % (
                self.disk.free(), self.kirad.count("disk_full") - self.full, now_ms() - self.load.at("last_ack_ms")))
            time.sleep(0.02)        # a look now and then: nothing announces that nothing comes
        self.full = self.kirad.count("disk_full")

    def read_all(self):
        out = os.path.join(h.TMP, "kira-full-%d" % os.getpid())
        h.run(self.load.argv("--final", "--out", out), seconds=60)
        with open(out) as f:
            found = sum(line.startswith("found") for line in f)
        os.unlink(out)
        h.check(found > 0, "a full disk gives nothing to read")
        self.reads += found

    def round(self, kill):
        self.flows(1 + self.rng.randrange(400), 60, "acks with room on the disk")
        ballast = Ballast(self.disk, self.rng.choice((1 << 20, 8 << 20, 64 << 20)))
        self.stalls()
        self.read_all()
        self.load.must_live()
        if kill:
            self.kirad.kill9()
            self.history.told("kill")
            self.kills += 1
            ballast.hold()
            self.start()
            h.check("is halted:" not in self.kirad.process.output(), "a start on a full disk halts a partition")
            self.read_all()
            self.load.must_live()
            ballast.let_go()
            self.flows(1, 60, "acks after a kill and a start on a full disk")
            self.full = 0
            return
        part = self.rng.randrange(PARTITIONS)
        self.refuse_newcomer(part)
        was = self.load.at("acked")
        free_since = ballast.let_go()
        h.until(lambda: self.load.at("acked") > was, 30, "an ack once there was room")
        self.resumed.append(time.monotonic() - free_since)
        self.comes_again(part)

    def finish(self):
        for name in ("maps_lost", "partitions_failed"):
            h.check(self.kirad.count(name) == 0, "%s is %d" % (name, self.kirad.count(name)))
        self.load.finish()
        self.kirad.stop()
        self.history.told("stop")
        self.start()
        self.load.final()
        self.kirad.stop()
        self.history.told("stop")
        self.load.allow_retention(self.history, self.disk.keep)
        return self.load.judge(self.history)


def best_of_three(times):
    return [min(times[i:i + 3]) for i in range(0, len(times), 3) if len(times) < 3 or len(times[i:i + 3]) == 3]


def body():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--rounds", type=int, default=9, help="over all three disks")
    args.add_argument("--within", type=float, default=SLACK * RESUME_S, help="seconds to the first ack, best of three")
    args.add_argument("--seed", type=int)
    args.add_argument("--fs", choices=sorted(DISKS), action="append")
    args = args.parse_args()
    if args.seed is not None:
        os.environ["KIRA_SEED"] = str(args.seed)
    h.need_root("mounts")
    rng = h.seeded()
    told = []
    disks = args.fs or sorted(DISKS)
    for fs in disks:
        bench = Bench(Disk(fs), rng)
        rounds = max(2, args.rounds // len(disks))
        kill_at = rng.randrange(rounds)
        for n in range(rounds):
            bench.round(n == kill_at)
        counts, verdict = bench.finish()
        best = best_of_three(bench.resumed)
        h.check(max(best) <= args.within, "%s: acks came %s s after there was room: %.1f s is the limit" % (
            fs, ["%.2f" % t for t in bench.resumed], args.within))
        h.check(bench.reads and all(bench.refused) and bench.kills and bench.came_again, "a full disk was not read, asked or killed on")
        told.append("%s: %d rounds, resumed after %.2f s (median; longest %.2f, best of 3 at most %.2f), %d units read while full, %d batches refused, %d first ones of a producer, %s" % (
            fs, rounds, sorted(bench.resumed)[len(bench.resumed) // 2], max(bench.resumed), max(best), bench.reads, sum(bench.refused), bench.came_again,
            verdict.split(",")[0]))
        h.say(told[-1])
    h.say("result: %s; SIGBUS 0, 56 after 1 s each time, 0 violations" % "; ".join(told))


if __name__ == "__main__":
    h.main(body)
