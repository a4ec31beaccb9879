#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --seconds 3 --sets 1x2,100x20
# long: --seconds 120 --sets 1x2,1x200,100x2,100x200
# about: include storage tests/pipeline/append_faults.c
# needs: root
# timeout: 300
"""faults.py - appends do not fault: on ext4 and XFS, at most one page fault of the appending thread per commit
and partition, none between commits.

append_faults.c plays the storage lcore, with the daemon's real threads, on file systems in loop images. A fault
is counted with the commit begun last: the first one of a commit and partition is the page that the commit wrote
under the tail; a further one has no excuse, unless the file is so old (25 s) that the kernel's own flusher may
have written it, or somebody else on this machine had the file system written (sync(2)): those are counted apart.
Of somebody else a page tells that no process of ours syncs, the canary: it faults, too. A run with whole-file syncs and
read-ahead's folios comes first: it must fault more, and the canary never, or this test would see nothing; then one
beside sync(2) of the file system, in which all that is more must be told apart.

    faults.py [--seconds N] [--sets PARTITIONSxMB,..] [--fs ext4,xfs] [--mode LETTERS] [--table]

--table prints every mode, for storage/FLUSH.md; judges nothing."""
import argparse
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h

IMAGE_MIB = 4096
MODES = {"wf": "whole-file fdatasync", "fn": "range sync", "n": "+ small folios", "": "+ tail's page refilled"}


def mounted(fs):
    """A fresh file system in a sparse image; its mount point and block device."""
    tmp = h.temp_dir()
    image, mount = os.path.join(tmp, "image"), os.path.join(tmp, "mnt")
    os.mkdir(mount)
    with open(image, "wb") as f:
        f.truncate(IMAGE_MIB << 20)
    h.run(["mkfs." + fs, "-q", image])
    code, _, err = h.run(["mount", "-o", "loop", image, mount], ok=None)
    if code != 0:
        h.skip("no loop mount of %s here (%s)" % (fs, err.strip()))
    h.at_exit(subprocess.call, ["umount", "-l", mount])
    device = os.path.basename(h.run(["findmnt", "-no", "SOURCE", mount])[1].strip())
    return mount, device


def written_mib(device):
    with open("/sys/block/%s/stat" % device) as f:
        return int(f.read().split()[6]) / 2048


def syncing(mount, seconds):
    """Somebody else, each half second."""
    p = subprocess.Popen(["sh", "-c", "for i in $(seq %d); do sleep 0.5; sync -f %s; done" % (2 * seconds, mount)])
    h.at_exit(p.kill)
    return p


def undisturbed(place, partitions, mb, seconds, mode):
    """A run of which at least a quarter was far from any sync(2) of others, with a commit a second or as many in more time."""
    last = seconds
    for _ in range(4):
        g = append(place, partitions, mb, last, mode)
        if g["commits"] < seconds:
            h.say("a slow disk: %d commits in %d s; for longer" % (g["commits"], last))
            last *= 3
            continue
        if g["undisturbed"] >= g["pairs"] / 4:
            return g
        h.say("disturbed: somebody called sync(2) %d times; once more" % g["others_seen"])
    h.check(g["commits"] >= seconds, "only %d commits in %d s" % (g["commits"], last / 3))
    h.skip("somebody on this machine calls sync(2) all the time: stop that")


def append(place, partitions, mb, seconds, mode=""):
    mount, device = place
    data = os.path.join(mount, "data")
    h.run(["rm", "-rf", data])
    os.mkdir(data)
    before = written_mib(device)
    _, out, _ = h.run([os.path.join(h.BUILD, "tests/pipeline/append_faults"), "-d", data, "-p", partitions,
                       "-r", mb, "-b", 16384 if mb >= 50 else 4096, "-s", seconds, "-w", 1,
                       "-S", (1 << 30) if mb < 50 else (64 << 20), "-m", mode], seconds=seconds + 120)
    got = {k: float(v) for k, v in re.findall(r"(\w+)=([\d.]+)", out)}
    got["written_mib"] = written_mib(device) - before
    return got


def line(fs, partitions, mb, mode, g):
    return "| %s | %d | %d | %s | %.3f | %d | %d | %d | %.1f | %.0f | %.2f |" % (
        fs, partitions, mb, MODES.get(mode, mode), (g["first"] + g["more"]) / max(g["pairs"], 1), g["more"],
        g["flusher"], g["waits"], g["append_p99_us"], g["append_max_us"],
        g["written_mib"] * 1.048576 / max(g["synced_mb"], 0.1))


HEAD = ("| fs | partitions | MB/s | how | faults per commit and partition | beyond the first | flusher | waits |"
        " append p99 us | max us | written / appended |\n|---|---|---|---|---|---|---|---|---|---|---|")


def kirad_counts(mount):
    """The same from outside: kirad's own counters of its storage lcore's thread."""
    kirad = h.Kirad(data_dir=os.path.join(mount, "kirad"))
    os.mkdir(kirad.data_dir)
    kirad.start()
    lines = subprocess.Popen(["seq", "1", "1500000"], stdout=subprocess.PIPE)
    h.at_exit(lines.kill)
    h.run([h.binary("kira"), "produce", "--bootstrap", kirad.bootstrap, "--topic", "t", "--acks", "disk",
           "--transport", "tcp"], seconds=100, stdin_file=lines.stdout)
    h.until(lambda: kirad.count("minor", "faults") > 0, 20, "a page fault that kirad counts")
    syncs, minor, major = kirad.count("syncs", "storage"), kirad.count("minor", "faults"), kirad.count("major", "faults")
    turns = sum(v for (group, name), v in kirad.counters().items() if group == "turn0" and name != "longest_ns")
    h.say("kirad: %d batches, %d syncs, %d minor faults, %d major, %d turns in the histogram" % (
        kirad.count("tcp_batches", "store"), syncs, minor, major, turns))
    h.check(syncs >= 20 and minor <= syncs and major == 0, "%d and %d faults in %d commits" % (minor, major, syncs))
    h.check(abs(turns - kirad.count("turns", "lcore0")) <= 2, "%d turns in the histogram, %d counted" % (
        turns, kirad.count("turns", "lcore0")))
    told = h.run([h.binary("kira"), "stat", "--data-dir", kirad.data_dir])[1]
    h.check("page faults per commit and partition" in told, "kira stat does not tell of page faults")
    kirad.stop()


def body():
    p = argparse.ArgumentParser()
    p.add_argument("--seconds", type=int, default=3)
    p.add_argument("--sets", default="1x2,100x20")
    p.add_argument("--fs", default="ext4,xfs")
    p.add_argument("--mode", default="")
    p.add_argument("--table", action="store_true")
    a = p.parse_args()
    h.need_root("loop devices")
    sets = [tuple(int(v) for v in s.split("x")) for s in a.sets.split(",")]
    pairs = first = flusher = 0
    control = others = apart = 0
    if a.table:
        print(HEAD)
    for fs in a.fs.split(","):
        h.need("mkfs." + fs, {"ext4": "e2fsprogs", "xfs": "xfsprogs"}[fs])
        place = mounted(fs)
        if a.table:
            for partitions, mb in sets:
                for mode in MODES:
                    print(line(fs, partitions, mb, mode, append(place, partitions, mb, a.seconds, mode)), flush=True)
            continue
        g = undisturbed(place, 1, 2, 2, "wf")
        h.check(g["more"] > 0, "whole-file syncs caused no faults either: nothing is measured here")
        control += g["more"]
        was = apart
        for _ in range(6):      # each sync(2) may come where a commit's own fault is due anyway
            noise = syncing(place[0], 4)
            g = append(place, 1, 2, 2)
            noise.wait()
            h.check(g["more"] == 0, "%d of %d faults beside sync(2) were not told apart" % (g["more"], g["more"] + g["others"]))
            apart += g["others"] if g["others_seen"] else 0
            if apart > was:
                break
        h.check(apart > was, "sync(2) caused no faults: they are not told apart here")
        for partitions, mb in sets:
            g = undisturbed(place, partitions, mb, a.seconds, a.mode)
            h.say("%s, %d partitions, %d MB/s: %d commits, %d of a commit and partition, %d faults first, %d more, "
                  "%d after the kernel's flusher, %d after a sync(2) of others (seen %d times), %d major; %d waits, append "
                  "p99 %.1f us" % (fs, partitions, mb, g["commits"], g["pairs"], g["first"], g["more"], g["flusher"],
                                   g["others"], g["others_seen"], g["major"], g["waits"], g["append_p99_us"]))
            h.check(g["major"] == 0, "major faults on the append path")
            h.check(g["more"] == 0, "%d faults beyond the first of a commit and partition" % g["more"])
            others += g["others"]
            h.check(g["first"] <= g["pairs"], "more than one fault per commit and partition")
            pairs, first, flusher = pairs + g["pairs"], first + g["first"], flusher + g["flusher"]
    if a.table:
        return
    kirad_counts(place[0])
    print("result: %d commits x partitions, %d faults, 0 beyond the first, %d after the kernel's flusher, %d after a "
          "sync(2) of others; with whole-file syncs %d beyond the first; beside sync(2) %d told apart" % (
              pairs, first, flusher, others, control, apart))


h.main(body)
