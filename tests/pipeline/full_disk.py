#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# needs: root
# timeout: 240
"""full_disk.py - on a full disk producers wait, fetches go on, and ingest resumes when there is room.

A small ext4 on a loop device holds the data directory; another file eats the rest. Nothing acked may be
missing afterwards, and kirad must neither end nor ack what it could not place."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h

SIZE_MIB = 256


def loop_ext4():
    h.need_root("a loop device")
    h.need("mkfs.ext4", "e2fsprogs")
    tmp = h.temp_dir()
    image, mount = os.path.join(tmp, "image"), os.path.join(tmp, "mnt")
    os.mkdir(mount)
    with open(image, "wb") as f:
        f.truncate(SIZE_MIB << 20)
    h.run(["mkfs.ext4", "-q", "-m", "0", image])
    code, _, err = h.run(["mount", "-o", "loop", image, mount], ok=None)
    if code != 0:
        h.skip("no loop mount here (%s)" % err.strip())
    h.at_exit(subprocess.call, ["umount", "-l", mount])
    return mount


def body():
    kcat = h.need("kcat", "kcat")
    confluent = h.need_module("confluent_kafka", "python3-confluent-kafka")
    mount = loop_ext4()
    # The cap would delete the oldest segments first: this test wants the disk itself to be the limit.
    kirad = h.Kirad(data_dir=os.path.join(mount, "data"), extra=[
        "--disk-cap", "0.99", "--topic-default", "segment.bytes=8388608"])
    os.mkdir(kirad.data_dir)
    kirad.start()
    acked, failed, out = [], [], [0]

    def done(err, msg):
        out[0] -= 1
        (acked if err is None else failed).append(int(msg.value()[:12]) if err is None else str(err))
    producer = confluent.Producer({"bootstrap.servers": kirad.bootstrap, "enable.idempotence": True,
                                   "message.timeout.ms": 120000, "linger.ms": 2, "log_level": 3})
    n = 0

    def produce(while_true):
        nonlocal n
        while while_true():
            if out[0] < 500:
                producer.produce("full", b"%012d" % n + b"y" * 4000, partition=0, on_delivery=done)
                n += 1
                out[0] += 1
                producer.poll(0)
            else:
                producer.poll(0.01)
    produce(lambda: len(acked) < 2000)
    h.say("%d records acked with room on the disk" % len(acked))
    ballast = os.path.join(mount, "ballast")
    eaten = 0
    with open(ballast, "wb") as f:
        for step in (1 << 20, 1 << 16, 1 << 12):
            try:
                while True:
                    os.posix_fallocate(f.fileno(), eaten, step)
                    eaten += step
            except OSError:
                pass
    h.say("ballast of %d MiB: the disk is full" % (eaten >> 20))
    # What was allocated ahead may still take some; then acks must cease, for at least 3 s on end.
    stalled, end = [time.monotonic(), len(acked)], time.monotonic() + 60

    def still_moving():
        if len(acked) != stalled[1]:
            stalled[:] = [time.monotonic(), len(acked)]
        h.check(time.monotonic() < end, "acks go on for 60 s on a full disk")
        return time.monotonic() - stalled[0] < 3
    produce(still_moving)
    h.check(kirad.lives(), "kirad ended on a full disk")
    h.check(not failed, "records failed instead of waiting: %s" % failed[:1])
    at_stall = len(acked)
    h.say("acks ceased at %d; producers wait" % at_stall)
    _, got, _ = h.run([kcat, "-b", kirad.bootstrap, "-C", "-t", "full", "-o", "beginning", "-e", "-q",
                       "-X", "check.crcs=true"], seconds=60)
    have = [int(x[:12]) for x in got.split("\n") if x]
    h.check(len(have) >= at_stall, "fetch on a full disk gives %d of %d" % (len(have), at_stall))
    h.say("a fetch goes on: %d records" % len(have))
    os.unlink(ballast)
    end = time.monotonic() + 60

    def not_resumed():
        h.check(time.monotonic() < end, "no ack for 60 s after there was room again")
        return len(acked) < at_stall + 500
    produce(not_resumed)
    h.check(producer.flush(60) == 0, "records stay undelivered")
    h.check(not failed, "records failed: %s" % failed[:1])
    _, got, _ = h.run([kcat, "-b", kirad.bootstrap, "-C", "-t", "full", "-o", "beginning", "-e", "-q",
                       "-X", "check.crcs=true"], seconds=60)
    have = [int(x[:12]) for x in got.split("\n") if x]
    h.check(have == sorted(set(have)), "out of order, or there twice")
    missing = set(acked) - set(have)
    h.check(not missing, "%d acked records are missing" % len(missing))
    kirad.stop()
    h.say("result: acked %d, of these before the stall %d, missing 0, twice 0" % (len(acked), at_stall))


h.main(body)
