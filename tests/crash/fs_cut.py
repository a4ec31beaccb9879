#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --fs ext4 --cuts 25
# quick: --fs xfs --cuts 25
# long: 2 x --fs ext4 --cuts 500 --seed {seed}
# long: 2 x --fs xfs --cuts 500 --seed {seed}
# long: --fs ext4 --sequences 3 --seed {seed}
# long: --fs xfs --sequences 3 --seed {seed}
# about: include storage tests/crash
# needs: root
# timeout: 240
"""fs_cut.py - the power of a file system is cut under the storage engine, again and again.

A loop image of ext4 or XFS; cut_driver runs the real engine on it and cuts its power by the shutdown
ioctl, at any system call or between two; then the file system is mounted again, its log replayed, and the
next cut_driver recovers what is left, judges it by the history of all lives, and goes on. Some recoveries
are cut too: what then comes out must be what one recovery of a copy makes of it.

Pages are written back in any order, so that a page is on the disk and one before it is not. Their state
is measured in the files before the recovery touches them. Every kind of cut must have fired; of 200 cuts
and more a share must have left a hole, and a torn batch."""
import argparse
import ctypes
import itertools
import os
import random
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "pipeline"))
import harness as h

SIZE_MIB = 320            # XFS takes no less than 300
LIVES = 40                # of one file system; then a new one, or the histories grow
HOLES, TORN = 0.30, 0.20  # of the cuts with anything unsynced to lose, at least
OPS = "carfstek"          # of cut_sequence.c
HOWS = ("log flushed", "after an fsync", "bare", "synced")
MUST = ("recovered", "double_cuts", "clean_stops", "kills", "duplicates", "epochs_raised", "rolls", "created",
        "deleted", "trims", "failed_after", "threads", "cuts_with_hole", "cuts_with_torn", "lost_pages", "kept_pages",
        "pages_written_back", "full_disks", "kept_log", "kept_disk") + tuple("cut " + how for how in HOWS)
MUST_OF_MANY = ("waits_in_vain", "merged", "starts_within", "starts_merged")


def alone():
    """Mounts of our own: a process that leaves for another namespace while one of ours is mounted (any `ip
    netns exec`) would keep it alive, cut as it is, and the next mount would be the same again."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x00020000) != 0 or libc.mount(b"none", b"/", None, ctypes.c_ulong(0x44000), None) != 0:
        h.skip("no mount namespace here (%s)" % os.strerror(ctypes.get_errno()))


class Image:
    """A file system on a loop device."""

    def __init__(self, fs, dir):
        self.fs, self.dir = fs, dir
        self.image, self.mount = os.path.join(dir, "image"), os.path.join(dir, "mnt")
        self.loop, self.is_up = None, False
        os.makedirs(self.mount, exist_ok=True)

    def make(self, read_ahead):
        self.free()
        with open(self.image, "wb") as f:
            f.truncate(SIZE_MIB << 20)
        h.run(["mkfs." + self.fs, "-q"] + (["-F", "-m", "0"] if self.fs == "ext4" else []) + [self.image])
        code, out, err = h.run(["losetup", "--show", "-f", self.image], ok=None)
        if code != 0:
            h.skip("no loop device here (%s)" % err.strip())
        self.loop = out.strip()
        # Without, the kernel makes small folios, and any page of a file is written alone.
        h.run(["blockdev", "--setra", read_ahead, self.loop])

    def up(self):
        code, _, err = h.run(["mount", self.loop, self.mount], ok=None)
        if code != 0:
            h.skip("no %s can be mounted here (%s)" % (self.fs, err.strip()))
        self.is_up = True

    def down(self):
        h.until(lambda: subprocess.call(["umount", self.mount], stderr=subprocess.DEVNULL) == 0, 20,
                "umount " + self.mount)
        self.is_up = False

    def free(self):
        if self.is_up:      # os.path.ismount() says no of one that is shut down
            self.down()
        if self.loop:
            subprocess.call(["losetup", "-d", self.loop])
            self.loop = None


class Cuts:
    def __init__(self, args):
        self.args = args
        self.seed = args.seed
        self.random = random.Random(args.seed)
        # What the device gets is kept by us, whatever lies below: memory will do, and is faster.
        if os.access("/dev/shm", os.W_OK) and shutil.disk_usage("/dev/shm").free > 2 << 30:
            h.TMP = "/dev/shm"
        self.tmp = h.temp_dir()
        h.TMP = os.environ.get("KIRA_TMP", "/var/tmp")
        self.history = os.path.join(self.tmp, "history")
        self.copy = os.path.join(self.tmp, "copy")
        self.image = Image(args.fs, self.tmp)
        h.at_exit(self.image.free)
        self.data = os.path.join(self.image.mount, "data")
        self.driver = os.path.join(h.BUILD, "tests/crash/cut_driver")
        self.sum = {}
        self.cuts = 0

    def add(self, key, n=1):
        self.sum[key] = self.sum.get(key, 0) + n

    def drive(self, *options, dir=None):
        """One life; {key: value}, the digests as a list."""
        argv = [self.driver, "--seed", self.seed] + list(options) + [dir or self.data, self.history]
        argv = [str(a) for a in argv]
        try:
            p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        except subprocess.TimeoutExpired:
            self.fail("no end after 60 s: %s" % " ".join(argv))
        out = p.stdout.decode(errors="replace")
        if p.returncode != 0:
            self.fail("exit %d of %s\n%s" % (p.returncode, " ".join(argv), out[-2000:]))
        got, digest = {}, []
        for line in out.splitlines():
            word = line.split()
            if word and word[0] == "digest":
                if len(digest) <= int(word[1]):     # of the first recovery: a killed one recovers again
                    digest.append(word[2])
            elif line.startswith("cut "):
                got[line] = 1
            elif len(word) == 2 and word[1].isdigit():
                got[word[0]] = got.get(word[0], 0) + int(word[1])
        return got, digest

    def fail(self, text):
        kept = "%s/kira-cut-%s-%d" % (h.TMP, self.args.fs, self.seed)
        shutil.rmtree(kept, ignore_errors=True)
        os.mkdir(kept)
        shutil.copy(self.history, kept)
        if os.path.isdir(self.copy):
            shutil.copytree(self.copy, os.path.join(kept, "before"))
        self.again()
        shutil.copytree(self.data, os.path.join(kept, "after"), ignore_dangling_symlinks=True)
        h.check(False, "%s, seed %d, life %d: %s\nkept: %s (before: as the cut left it)" % (
            self.args.fs, self.seed, self.cuts, text, kept))

    def again(self):
        self.image.down()
        self.image.up()

    def double(self):
        """Cut inside the recovery, once or twice; the digests that one recovery would have given."""
        _, want = self.drive("--look", dir=self.copy)
        for _ in range(1 + self.random.randrange(2)):
            got, _ = self.drive("--mount", self.image.mount, "--recovery-cut", self.random.randrange(1, 70))
            if not got.get("cut_in_recovery"):
                return None     # it was over before, and that life has worked on
            self.add("double_cuts")
            self.again()
            self.seed += 1
        return want

    def full_life(self):
        """One with little space, none of which comes back."""
        ballast = os.path.join(self.image.mount, "ballast")
        space = os.statvfs(self.image.mount)
        left = self.random.randrange(24) << 20      # of 16 MiB nothing more is reserved
        with open(ballast, "wb") as f:
            try:
                os.posix_fallocate(f.fileno(), 0, max(1 << 20, space.f_bavail * space.f_frsize - left))
            except OSError:
                pass            # what it got is enough
            os.fsync(f.fileno())
        got, _ = self.drive("--mount", self.image.mount, "--full")
        for key, n in got.items():
            self.add(key, n)
        self.add("full_disks")
        self.again()
        os.unlink(ballast)
        self.seed += 1

    def life(self, has_past):
        self.seed += 1
        shutil.rmtree(self.copy, ignore_errors=True)
        if has_past:
            shutil.copytree(self.data, self.copy)
        want = None
        if has_past and self.cuts % 6 == 4:
            want = self.double()
            if want is None:
                self.again()
        if want is None and self.cuts % 8 == 6:
            self.full_life()
        got, digest = self.drive("--mount", self.image.mount)
        if want is not None and want != digest:
            self.fail("recovered twice, it is another log: %s, once: %s" % (digest, want))
        for key, n in got.items():
            self.add(key, n)
        self.cuts += 1

    def sequence(self, ops):
        """From a fresh directory these operations, cut at some call; the next life judges, and stops."""
        self.seed += 1
        shutil.rmtree(self.data, ignore_errors=True)
        os.mkdir(self.data)
        if os.path.exists(self.history):
            os.unlink(self.history)
        self.drive("--mount", self.image.mount, "--ops", ops, "--cut-at", self.random.randrange(30 * len(ops)))
        self.again()
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.data, self.copy)
        got, _ = self.drive()
        for key, n in got.items():
            self.add(key, n)
        self.cuts += 1

    def sequences(self):
        self.image.make(0)
        self.image.up()
        for n in range(1, self.args.sequences + 1):
            for ops in itertools.product(OPS, repeat=n):
                self.sequence("".join(ops if ops[0] == "c" else "caf" + "".join(ops)))
        self.image.down()

    def run(self):
        while self.cuts < self.args.cuts:
            self.image.make(self.random.choice((0, 0, 0, 256)))
            if os.path.exists(self.history):
                os.unlink(self.history)
            for life in range(min(LIVES, self.args.cuts - self.cuts) + 1):
                self.image.up()
                if life == 0:
                    os.mkdir(self.data)
                self.life(life > 0)
                self.image.down()
            self.image.up()     # the last cut of this one is judged too, and no more made
            self.drive()
            self.image.down()
            self.cuts -= 1
            if self.cuts < self.args.cuts:
                h.say("%s: %d cuts, %d with a hole, %d with a torn batch" % (
                    self.args.fs, self.cuts, self.sum.get("cuts_with_hole", 0), self.sum.get("cuts_with_torn", 0)))


def body():
    p = argparse.ArgumentParser()
    p.add_argument("--fs", choices=("ext4", "xfs"), default="ext4")
    p.add_argument("--cuts", type=int, default=1000000)
    p.add_argument("--sequences", type=int, default=0, help="instead: all of so many operations, each cut once")
    p.add_argument("--seed", type=int, default=int(time.time()) * 100)
    args = p.parse_args()
    h.need_root("loop devices")
    alone()
    h.need("mkfs." + args.fs, "xfsprogs" if args.fs == "xfs" else "e2fsprogs")
    cuts = Cuts(args)
    s = cuts.sum
    if args.sequences:
        cuts.sequences()
        h.say("result: %s, seed %d: %d sequences of up to %d operations, cut once each; partitions recovered %d, records "
              "acked at disk %d, kept %d; 0 violations" % (args.fs, args.seed, cuts.cuts, args.sequences,
                                                          s["partitions"], s["acked_disk"], s["kept_disk"]))
        return
    cuts.run()
    for key in sorted(s):
        h.say("%12d %s" % (s[key], key))
    few = cuts.cuts < 200
    never = [key for key in MUST + (() if few else MUST_OF_MANY) if not s.get(key)]
    h.check(not never or cuts.cuts < 20, "never fired: %s" % ", ".join(never))
    holes, torn = s["cuts_with_hole"] / s["recovered"], s["cuts_with_torn"] / s["recovered"]
    h.check(holes >= HOLES or few, "only %.0f %% of the cuts left a hole" % (100 * holes))
    h.check(torn >= TORN or few, "only %.0f %% of the cuts tore a batch" % (100 * torn))
    h.check(s["acked_disk"] == s["kept_disk"], "%d records acked at disk, %d kept" % (s["acked_disk"], s["kept_disk"]))
    h.say("result: %s, seed %d: cuts %d, in recovery %d more, with a hole before a live page %d (%.0f %%), with a torn "
          "batch %d (%.0f %%), partitions recovered %d, epochs raised %d, deletions of records %d, starts within a merged "
          "batch %d, records acked at disk %d, kept %d, at log "
          "%d, kept %d; 0 violations" % (
              args.fs, args.seed, cuts.cuts, s.get("double_cuts", 0), s["cuts_with_hole"], 100 * holes,
              s["cuts_with_torn"], 100 * torn, s["partitions"], s["epochs_raised"], s["trims"],
              s.get("starts_merged", 0), s["acked_disk"], s["kept_disk"],
              s["sent_log"], s["kept_log"]))


h.main(body)
