#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --by rules
# long: --by apache
# about: include storage control tests/compat/dump_apache.sh
# needs: clients
# timeout: 540
"""dump.py - segments, indexes and snapshots read as Kafka's own, by two judges.

Fills topics with small segments over TCP (plain, LZ4, gzip, idempotent, several batches per index entry,
sealed segments rewritten) and over memif, with a clean stop and a kill -9 in between. What is sealed when it is
killed, and all of it after the last stop, goes to log_files.py (rules: no JVM) or to Apache's DumpLogSegments
by tests/compat/dump_apache.sh (apache: maven and a JDK, jars from Maven Central).
log_files.py must also complain about files that are damaged on purpose."""
import argparse
import os
import re
import shutil
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "pipeline"))
import harness as h
import log_files

PARTITIONS = 2
FORMS = {"plain": [], "lz4": ["-z", "lz4"], "gzip": ["-z", "gzip"],
         "idem": ["-X", "enable.idempotence=true", "-X", "linger.ms=0", "-X", "batch.num.messages=50"],
         "tiny": ["-X", "linger.ms=0", "-X", "batch.num.messages=7"],
         "rewritten": ["-X", "enable.idempotence=true", "-X", "linger.ms=0", "-X", "batch.num.messages=20"]}


def copy_sealed(data_dir):
    """A data directory of the sealed segments alone: an open one ends in zeros, which Kafka takes for damage."""
    to = os.path.join(h.temp_dir(), "sealed")
    segments = 0
    for part in sorted(os.listdir(data_dir)):
        if not re.fullmatch(r".+-\d+", part):
            continue
        names = set(os.listdir(os.path.join(data_dir, part)))
        # A log that is being replaced has for a moment the index of the one before; what follows it would leave a gap.
        busy = min((n[:20] for n in names if n.endswith((".swap", ".cleaned"))), default="~")
        bases = sorted(n[:20] for n in names if n.endswith(".log") and n[:20] < busy
                       and {n[:20] + ".index", n[:20] + ".timeindex"} <= names)
        keep = {b + e for b in bases for e in (".log", ".index", ".timeindex", ".snapshot")} & names
        if bases:
            os.makedirs(os.path.join(to, part))
            for name in keep | {"partition.metadata", "leader-epoch-checkpoint"}:
                shutil.copy(os.path.join(data_dir, part, name), os.path.join(to, part))
        segments += len(bases)
    h.check(segments >= 10, "%d segments were sealed when it was killed" % segments)
    h.say("killed, with %d sealed segments" % segments)
    return to


def fill():
    """(what was sealed when it was killed, all of it after a clean stop)."""
    kcat = h.need("kcat", "kcat")
    kirad = h.Kirad(device="memif:%s/m.sock" % h.temp_dir(), extra=[
        "--num-partitions", str(PARTITIONS), "--topic-default", "segment.bytes=1048576", "--rewrite-after-ms", "0"]).start()
    h.run([h.binary("kira"), "topic", "create", "rewritten", "-b", kirad.bootstrap, "-c", "compression.type=lz4"])
    for turn in range(3):
        for topic, options in FORMS.items():
            lines = ["%s line %d %s\n" % (topic, n, "abcdefgh" * (n % 20)) for n in range(20000)]
            for p in range(PARTITIONS):     # left to kcat, a partition may get nothing: it keeps to one for 10 ms
                h.run([kcat, "-b", kirad.bootstrap, "-P", "-t", topic, "-p", p] + options, stdin="".join(lines[p::PARTITIONS]).encode())
        if turn == 0:
            kirad.stop()
            kirad.start()
        elif turn == 1:
            kirad.kill9()
            sealed = copy_sealed(kirad.data_dir)
            kirad.start()
    h.say("filled over TCP, in three lives of kirad")
    h.run([h.binary("kira-blast"), "--bootstrap", kirad.bootstrap, "--device", kirad.device, "--topic", "blast",
           "--partitions", PARTITIONS, "--seconds", "1", "--rate", "50000", "--record", "200", "--batch", "1400",
           "--sessions", "2", "--acks", "log", "--cpus", h.cpu_list(1), "--transport", "udp", "--json"], seconds=120)
    h.say("filled over memif")
    h.until(lambda: kirad.count("rewrite_segments") >= 4, 120, "the rewriting of sealed segments")
    kirad.stop()
    return sealed, kirad.data_dir


def edit(path, at, new):
    with open(path, "r+b") as f:
        if at < 0:
            f.seek(at, os.SEEK_END)
        else:
            f.seek(at)
        f.write(new)


def teeth(part):
    """Every rule bites: a copy damaged in one place must be complained about."""
    logs = sorted(n for n in os.listdir(part) if n.endswith(".log"))
    h.check(len(logs) > 2, "%s has only %d segments" % (part, len(logs)))
    log, second = logs[:2]      # that the first may go is retention's right
    stem = log[:20]
    with open(os.path.join(part, log), "rb") as f:
        first = 12 + struct.unpack_from(">i", f.read(12), 8)[0]

    def cut(name, size):
        return lambda d: os.truncate(os.path.join(d, name), size)
    damages = {
        "a flipped bit in a record": lambda d: edit(os.path.join(d, log), 200, b"\xff\xfe"),
        "an offset that leaps": lambda d: edit(os.path.join(d, log), first, struct.pack(">q", 1 << 30)),
        "a zero tail": lambda d: os.truncate(os.path.join(d, log), os.path.getsize(os.path.join(d, log)) + 4096),
        "a missing segment": lambda d: os.unlink(os.path.join(d, second)),
        "an index without entries": cut(stem + ".index", 0),
        "an index with a zero entry behind": cut(stem + ".index", os.path.getsize(os.path.join(part, stem + ".index")) + 8),
        "an index entry that points beside a batch": lambda d: edit(os.path.join(d, stem + ".index"), 7, b"\1"),
        "a time index without entries": cut(stem + ".timeindex", 0),
        "a wrong largest timestamp": lambda d: edit(os.path.join(d, stem + ".timeindex"), -12, struct.pack(">q", 1 << 50)),
        "a missing index": lambda d: os.unlink(os.path.join(d, stem + ".index")),
        "another epoch than the checkpoint's": lambda d: edit(os.path.join(d, "leader-epoch-checkpoint"), 4, b"7"),
    }
    snapshot = next((n for n in sorted(os.listdir(part)) if n.endswith(".snapshot")
                     and os.path.getsize(os.path.join(part, n)) > 10), None)
    h.check(snapshot, "%s has no producer snapshot" % part)
    damages["a wrong sequence in a snapshot"] = lambda d: edit(os.path.join(d, snapshot), 20, b"\x33")
    for name, damage in damages.items():
        copy = os.path.join(h.temp_dir(), os.path.basename(part))
        shutil.copytree(part, copy)
        damage(copy)
        h.check(log_files.Partition(copy).check().complaints, "log_files.py is blind to %s" % name)
        shutil.rmtree(copy)
    return len(damages)


def rules(sealed, data_dir):
    for p in log_files.check_directory(sealed):
        h.check(not p.complaints, "sealed, then killed: %d complaints, first: %s" % (len(p.complaints), p.complaints[:3]))
    parts = log_files.check_directory(data_dir)
    for p in parts:
        h.check(not p.complaints, "%d complaints, first: %s" % (len(p.complaints), p.complaints[:3]))
    h.check(len(parts) == PARTITIONS * (len(FORMS) + 1), "%d partitions" % len(parts))
    records = {t: sum(p.records for p in parts if os.path.basename(p.path).rsplit("-", 1)[0] == t) for t in FORMS}
    h.check(set(records.values()) == {60000}, "records per topic: %s" % records)
    h.check({0, 1, 3} <= set().union(*(p.codecs for p in parts)), "not every codec was stored")
    h.say("no complaint about %d files" % sum(p.files for p in parts))
    bites = teeth(os.path.join(data_dir, "idem-0"))
    h.say("result: %d files, %d batches, %d records, %d index entries, no complaint; %d damages found" % (
        sum(p.files for p in parts), sum(p.batches for p in parts), sum(p.records for p in parts),
        sum(p.entries for p in parts), bites))


def apache(*data_dirs):
    told = []
    for data_dir in data_dirs:
        _, out, _ = h.run([os.path.join(h.ROOT, "tests", "compat", "dump_apache.sh"), data_dir], seconds=480, ok=(0, 77))
        print(out, flush=True)
        told.append(re.sub(r"\x1b\[[0-9;]*m", "", out).strip().splitlines()[-1] if out.strip() else "")
        if told[-1].startswith("skipped: "):
            h.skip(told[-1][9:])
    h.say("result: %s" % "; ".join(told))


def body():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--by", choices=("rules", "apache"), required=True)
    args = args.parse_args()
    if args.by == "apache":
        for tool in ("mvn", "java"):
            h.need(tool, "maven default-jdk-headless")
        apache(*fill())
    else:
        rules(*fill())


h.main(body)
