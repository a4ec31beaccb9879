#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# long: --rounds 20
# about: include storage dataplane control tests/crash
# needs: root clients
# timeout: 240
"""dead_disk.py - the file system under a kirad dies under load: ext4 and XFS shut down by ioctl, ext4 made read-only
by an error of its own (errors=remount-ro).

Producers must be told 56 or 20, and after the first such answer no `disk` ack may come any more; a fetch of what
cannot be read is told 56; kirad lives, says once per partition why, and counts it. Mounted again, the next start
must have every record that was acked at `disk`."""
import argparse
import array
import fcntl
import os
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "pipeline"))
import harness as h
import kafka_wire as k

SHUTDOWN, WITHOUT_LOG_FLUSH = 0x8004587d, 2
SIZE_MIB = {"ext4": 128, "xfs": 320}
PARTITIONS = 2
STORAGE_ERROR, AFTER_APPEND = 56, 20
FETCH = 1


class Disk:
    def __init__(self, fs, options=()):
        tmp = h.temp_dir()
        self.mount, self.image, self.options = os.path.join(tmp, "mnt"), os.path.join(tmp, "image"), options
        os.mkdir(self.mount)
        h.need("mkfs." + fs, {"ext4": "e2fsprogs", "xfs": "xfsprogs"}[fs])
        with open(self.image, "wb") as f:
            f.truncate(SIZE_MIB[fs] << 20)
        h.run(["mkfs." + fs, "-q"] + (["-F", "-m", "0"] if fs == "ext4" else []) + [self.image])
        code, out, err = h.run(["losetup", "--show", "-f", self.image], ok=None)
        if code != 0:
            h.skip("no loop device here (%s)" % err.strip())
        self.loop = out.strip()
        h.at_exit(subprocess.call, ["losetup", "-d", self.loop])
        self.up()
        h.at_exit(lambda: subprocess.call(["umount", "-l", self.mount], stderr=subprocess.DEVNULL))

    def up(self):
        options = ["-o", ",".join(self.options)] if self.options else []
        code, _, err = h.run(["mount"] + options + [self.loop, self.mount], ok=None)
        if code != 0:
            h.skip("no mount here (%s)" % err.strip())

    def down(self):
        h.until(lambda: subprocess.call(["umount", self.mount], stderr=subprocess.DEVNULL) == 0, 20,
                "umount " + self.mount)

    def shut(self):
        fd = os.open(self.mount, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, array.array("I", [WITHOUT_LOG_FLUSH]))
        finally:
            os.close(fd)

    def read_only(self):
        trigger = "/sys/fs/ext4/%s/trigger_fs_error" % os.path.basename(self.loop)
        if not os.path.exists(trigger):
            h.skip("this kernel has no %s" % trigger)
        with open(trigger, "w") as f:
            f.write("1")


class Load:
    """Records to two partitions, one producer of acks=all each; what it was told, in the order it was told."""

    def __init__(self, confluent, kirad):
        self.acked = [set() for _ in range(PARTITIONS)]
        self.codes = [[] for _ in range(PARTITIONS)]
        self.late = 0               # acks after the first error
        self.next = [0] * PARTITIONS
        self.out = [0] * PARTITIONS
        self.producer = [confluent.Producer({"bootstrap.servers": kirad.bootstrap, "acks": "all", "retries": 0,
                                             "linger.ms": 1, "message.timeout.ms": 60000, "log_level": 0,
                                             "max.in.flight.requests.per.connection": 5}) for _ in range(PARTITIONS)]

    def told(self, part, number):
        def done(err, _):
            self.out[part] -= 1
            if err is not None:
                self.codes[part].append(err.code())
            else:
                self.late += bool(self.codes[part])
                self.acked[part].add(number)
        return done

    def until(self, condition, seconds, what):
        end = time.monotonic() + seconds
        while not condition():
            h.check(time.monotonic() < end, "not within %d s: %s (acked %s, told %s)" % (
                seconds, what, [len(a) for a in self.acked], [sorted(set(c)) for c in self.codes]))
            for part in range(PARTITIONS):
                while self.out[part] < 100:
                    self.producer[part].produce("dead", b"%d " % self.next[part] + b"x" * 700, partition=part,
                                                on_delivery=self.told(part, self.next[part]))
                    self.next[part] += 1
                    self.out[part] += 1
                self.producer[part].poll(0.005)

    def close(self):
        for producer in self.producer:
            producer.flush(20)


def fetch(kirad, part, offset):
    """(error, high watermark) of a fetch of version 4."""
    body = k.i32(-1) + k.i32(0) + k.i32(1) + k.i32(1 << 20) + k.i8(0) + k.i32(1) + k.string("dead") + k.i32(1)
    body += k.i32(part) + k.i64(offset) + k.i32(1 << 20)
    with k.Connection(kirad.host, kirad.port, timeout=20) as c:
        answer = c.ask(k.request(FETCH, 4, body))
    if answer is None:
        return None, None
    error, high = struct.unpack_from(">hq", answer, 4 + 4 + 4 + 2 + len("dead") + 4 + 4)
    return error, high


def counted(kirad, name):
    dead, kirad.data_dir = kirad.data_dir, kirad.shadow
    try:
        return kirad.count(name)
    finally:
        kirad.data_dir = dead


def consumed(confluent, kirad, part):
    c = confluent.Consumer({"bootstrap.servers": kirad.bootstrap, "group.id": "x", "enable.auto.commit": False,
                            "log_level": 0})
    low, high = c.get_watermark_offsets(confluent.TopicPartition("dead", part), timeout=30)
    c.assign([confluent.TopicPartition("dead", part, low)])
    found, end = set(), time.monotonic() + 60
    while len(found) < high - low and time.monotonic() < end:
        for message in c.consume(1000, 1):
            h.check(message.error() is None, "reading partition %d: %s" % (part, message.error()))
            found.add(int(message.value().split()[0]))
    c.close()
    h.check(len(found) == high - low, "partition %d: %d records of %d" % (part, len(found), high - low))
    return found


def die(confluent, fs, how):
    disk = Disk(fs, ("errors=remount-ro",) if how == "read-only" else ())
    data = os.path.join(disk.mount, "data")
    kirad = h.Kirad(data_dir=data, extra=["--num-partitions", str(PARTITIONS)]).start()
    kirad.shadow = h.temp_dir()     # a path on a dead file system may lead nowhere
    os.mkdir(os.path.join(kirad.shadow, "run"))
    os.symlink(os.path.realpath(os.path.join(data, "run", "counters")), os.path.join(kirad.shadow, "run", "counters"))
    load = Load(confluent, kirad)
    load.until(lambda: min(len(a) for a in load.acked) > 500, 60, "acks before anything happened")
    h.check(set(load.codes[0] + load.codes[1]) <= {STORAGE_ERROR}, "records failed before anything happened: %s" % load.codes)
    h.check(counted(kirad, "partitions_failed") == 0, "a partition failed before anything happened")
    load.codes, load.late = [[], []], 0     # a disk that stood still: no room within a second
    disk.read_only() if how == "read-only" else disk.shut()
    load.until(lambda: all(len(c) > 50 and STORAGE_ERROR in c for c in load.codes), 60, "both producers are told 56")
    codes = set(load.codes[0] + load.codes[1])
    h.check(codes <= {STORAGE_ERROR, AFTER_APPEND}, "told %s, not 56 and 20" % sorted(codes))
    h.check(load.late == 0, "%d `disk` acks after the first error" % load.late)
    h.check(kirad.lives(), "kirad ended with %s" % kirad.process.poll())
    # A shut-down file system reads nothing, a read-only one all that is durable; beyond it neither has anything.
    error, high = fetch(kirad, 0, 0)
    h.check(error == (0 if how == "read-only" else STORAGE_ERROR), "a fetch of offset 0 is answered %s" % error)
    if how == "read-only":
        error, _ = fetch(kirad, 0, high)
        h.check(error == STORAGE_ERROR, "a fetch at the end of a failed partition is answered %s" % error)
    else:
        h.until(lambda: "reads failed, the latest of dead-0 at offset" in kirad.process.output(), 10,
                "a line that reads fail")
        h.check(counted(kirad, "read_failures") > 0, "read_failures is 0")
    for part in range(PARTITIONS):
        line = "topic dead partition %d failed: " % part
        h.until(lambda: line in kirad.process.output(), 10, "the line " + line)
    h.check(counted(kirad, "partitions_failed") == PARTITIONS, "partitions_failed is %d" % counted(kirad, "partitions_failed"))
    h.check(counted(kirad, "sync_failures") + counted(kirad, "maps_lost") >= PARTITIONS, "neither a sync nor a store failed")
    load.close()
    h.check(kirad.process.term(60) == 1, "a stop that could not write is exit code 1")
    disk.down()
    if how == "read-only":      # it stays so until it was checked
        h.run(["e2fsck", "-fy", disk.loop], ok=(0, 1))
    disk.up()
    kirad.start()
    for part in range(PARTITIONS):
        lost = load.acked[part] - consumed(confluent, kirad, part)
        h.check(not lost, "partition %d: %d of %d acked records are gone, such as %s" % (
            part, len(lost), len(load.acked[part]), sorted(lost)[:3]))
    kirad.stop()
    disk.down()
    acked = sum(len(a) for a in load.acked)
    h.say("%s, %s: %d acked, %d told %s" % (fs, how, acked, sum(map(len, load.codes)), sorted(codes)))
    return acked, sum(map(len, load.codes))


def body():
    args = argparse.ArgumentParser()
    args.add_argument("--rounds", type=int, default=1)
    rounds = args.parse_args().rounds
    h.need_root("loop devices and mounts")
    confluent = h.need_module("confluent_kafka", "python3-confluent-kafka")
    acked = told = deaths = 0
    for _ in range(rounds):
        for fs, how in (("ext4", "shut down"), ("ext4", "read-only"), ("xfs", "shut down")):
            a, t = die(confluent, fs, how)
            acked, told, deaths = acked + a, told + t, deaths + 1
    h.say("result: %d deaths, %d acked and all there, %d told 56 or 20, 0 disk acks after" % (deaths, acked, told))


h.main(body)
