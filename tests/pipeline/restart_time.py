#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --partitions 4 --mib 256 --more-mib 128 --idle 200
# long: --partitions 16 --mib 4096 --more-mib 1024 --idle 10000 --factor 1 --cold
# about: include storage control
# needs: clients
# timeout: 240
"""restart_time.py - a start takes 1 s and 1 s more per GiB that was not sealed, whatever the size of the log.

Partitions are filled, so that most of the log is sealed. Then, three times each, the page cache is dropped and kirad
is started after a clean stop, and after kill -9 with more records in open segments; from the exec to its ready
line. The best of three counts, against FACTOR x (1 s + 1 s per GiB that kirad says it had to read). After the
starts all records are there. The same with IDLE partitions that nobody writes to: these may cost no descriptor but
that of their directory, no map, no space."""
import argparse
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h

ROUNDS = 3
SEGMENT = 64 << 20


def drop_caches(where, cold):
    """What is clean leaves memory: the files below, or, with --cold, all there is, names and inodes too; that
    hurts whoever else runs here, and kirad's own program is read back, which is no part of the question."""
    os.sync()
    if cold:
        h.need_root("dropping all caches")
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("3")
        h.run([h.binary("kirad"), "--help"])
        return "all caches"
    for folder, _, names in os.walk(where):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                fd = os.open(path, os.O_RDONLY)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(fd)
    return "pages of its files"


def fill(kirad, topic, partitions, mib):
    confluent = h.need_module("confluent_kafka", "python3-confluent-kafka")
    producer = confluent.Producer({"bootstrap.servers": kirad.bootstrap, "acks": "1", "linger.ms": 5, "log_level": 3,
                                   "enable.idempotence": False, "queue.buffering.max.kbytes": 131072})
    payload, failed = os.urandom(32 << 10), []

    def done(err, _):
        if err is not None:
            failed.append(str(err))
    n = mib * 32
    for i in range(n):
        while True:
            try:
                producer.produce(topic, payload, partition=i % partitions, on_delivery=done)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    h.check(producer.flush(300) == 0 and not failed, "filling failed: %s" % failed[:1])
    return n


def ends(kirad, topic, partitions):
    confluent = h.need_module("confluent_kafka", "python3-confluent-kafka")
    consumer = confluent.Consumer({"bootstrap.servers": kirad.bootstrap, "group.id": "ends"})
    found = [consumer.get_watermark_offsets(confluent.TopicPartition(topic, p), timeout=30) for p in range(partitions)]
    consumer.close()
    return sum(high for _, high in found)


def timed_start(kirad):
    """Seconds from the exec to the ready line, and GiB that the start read."""
    began = time.monotonic()
    kirad.start(seconds=600)
    seconds = time.monotonic() - began
    found = re.search(r"recovered (\d+) partitions in [\d.]+ s: ([\d.]+) GiB read, of ([\d.]+) GiB", kirad.process.output())
    return seconds, float(found[2]) if found else 0.0


def judge(what, times, factor):
    """times: (seconds, GiB read) of each round; the round that did best counts."""
    best = min(times, key=lambda t: t[0] / (1 + t[1]))
    h.say("%s: ready after %s s; best %.2f s with %.3f GiB read, allowed %.2f" % (
        what, " ".join("%.2f" % t[0] for t in times), best[0], best[1], factor * (1 + best[1])))
    h.check(best[0] <= factor * (1 + best[1]), "%s: a start took %.2f s for %.3f GiB that were not sealed" % (what, *best))
    return best


def with_records(args):
    kirad = h.Kirad(extra=["--num-partitions", str(args.partitions), "--topic-default", "segment.bytes=%d" % SEGMENT,
                           "--topic-default", "retention.ms=-1"]).start()
    sent = fill(kirad, "log", args.partitions, args.mib)
    kirad.stop()
    clean, killed = [], []
    for _ in range(ROUNDS):
        how = drop_caches(kirad.data_dir, args.cold)
        clean.append(timed_start(kirad))
        h.check(clean[-1][1] == 0, "after a clean stop %.3f GiB were read" % clean[-1][1])
        kirad.stop()
    kirad.start()
    for _ in range(ROUNDS):
        sent += fill(kirad, "log", args.partitions, args.more_mib)
        kirad.kill9()
        drop_caches(kirad.data_dir, args.cold)
        killed.append(timed_start(kirad))
        h.check(killed[-1][1] > 0, "after kill -9 under load a start found nothing to read")
    h.check(ends(kirad, "log", args.partitions) == sent, "%d records sent, %d there" % (sent, ends(kirad, "log", args.partitions)))
    h.say("dropped %s before each start; %d records, %.2f GiB, all there" % (how, sent, sent / 32768))
    kirad.stop()
    return (judge("clean stop, %d MiB" % args.mib, clean, args.factor),
            judge("kill -9, %d MiB and %d more each" % (args.mib, args.more_mib), killed, args.factor))


def idle(args):
    kirad = h.Kirad(extra=["--max-partitions", str(args.idle + 16)]).start()
    left, topics = args.idle, 0
    while left > 0:
        n = min(left, 250)
        h.run([h.binary("kira"), "topic", "create", "idle%d" % topics, "--partitions", n, "-b", kirad.bootstrap], seconds=300)
        left -= n
        topics += 1
    kirad.stop(seconds=300)
    clean, killed = [], []
    for _ in range(ROUNDS):
        drop_caches(kirad.data_dir, args.cold)
        clean.append(timed_start(kirad))
        kirad.stop(seconds=300)
    kirad.start(seconds=600)
    for _ in range(ROUNDS):
        kirad.kill9()
        drop_caches(kirad.data_dir, args.cold)
        killed.append(timed_start(kirad))
    fds = len(os.listdir("/proc/%d/fd" % kirad.pid))
    with open("/proc/%d/maps" % kirad.pid) as f:
        maps = sum(".log" in x or ".pool" in x for x in f)
    held = kirad.count("disk_held_bytes")
    kirad.stop(seconds=300)
    h.say("%d idle partitions: %d descriptors, %d maps of segments, %d bytes held" % (args.idle, fds, maps, held))
    h.check(fds < args.idle + 200, "%d descriptors for %d idle partitions" % (fds, args.idle))
    h.check(maps == 0 and held == 0, "idle partitions have %d maps, %d bytes" % (maps, held))
    return (judge("clean stop, %d idle partitions" % args.idle, clean, args.factor),
            judge("kill -9, %d idle partitions" % args.idle, killed, args.factor))


def body():
    p = argparse.ArgumentParser()
    p.add_argument("--partitions", type=int, default=4)
    p.add_argument("--mib", type=int, default=256, help="filled before, most of it sealed")
    p.add_argument("--more-mib", type=int, default=128, help="before each kill")
    p.add_argument("--idle", type=int, default=200)
    p.add_argument("--factor", type=float, default=5)
    p.add_argument("--cold", action="store_true", help="drop all caches of the machine before each start")
    args = p.parse_args()
    clean, killed = with_records(args)
    idle_clean, idle_killed = idle(args)
    h.say("result: clean stop %.2f s, kill -9 %.2f s with %.2f GiB read; %d idle partitions %.2f and %.2f s; best of %d, "
          "limit %g x (1 s + 1 s per GiB)" % (clean[0], killed[0], killed[1], args.idle, idle_clean[0], idle_killed[0],
                                              ROUNDS, args.factor))


h.main(body)
