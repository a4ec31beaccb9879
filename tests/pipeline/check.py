#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# asan:
# needs: clients
# timeout: 240
"""check.py - kira check and kira dump against directories whose state is known.

kirad fills topics with small segments. While it runs, check refuses. After a clean stop both find nothing;
each damage made by hand on a copy is then found and named, with its file and nothing else. After kill -9
the unsealed tail is told as such, and is no damage, a torn one neither; but a log that ends below what was
durable is. dump gives back the records that were sent, plain and LZ4, keys and headers, as text and as JSON."""
import collections
import json
import os
import re
import shutil
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h

PARTITIONS = 2
RECORDS = {"plain": 6000, "lz4": 6000, "idem": 36000}     # idem: several segments


def line(topic, n):
    return "%s %d %s" % (topic, n, "abcdefgh" * (n % 30))


def fill(kirad, topic, options, n=None):
    kcat = h.need("kcat", "kcat")
    lines = ["k%d\t%s\n" % (i, line(topic, i)) for i in range(n or RECORDS[topic])]
    for p in range(PARTITIONS):     # left to kcat, a partition may get nothing: it keeps to one for 10 ms
        h.run([kcat, "-b", kirad.bootstrap, "-P", "-t", topic, "-p", p, "-K", "\t", "-H", "from=kcat"] + options,
              stdin="".join(lines[p::PARTITIONS]).encode())


def check(where, code):
    """(damages, notes) as [(file, rest)], of `kira check`, which must end with `code`."""
    got, out, err = h.run([h.binary("kira"), "check", where], ok=None)
    h.check(got == code, "check of %s ended with %d, not %d:\n%s%s" % (where, got, code, out, err))
    found = re.findall(r"^(damage|note) +%s/?(\S*): (.*)$" % re.escape(where), out, re.M)
    last = out.rstrip().splitlines()[-1] if out else ""
    m = re.search(r": (\d+) damaged places, (\d+) notes; ", last)
    h.check(m, "no closing line: %r" % last)
    damages = [(f, rest) for kind, f, rest in found if kind == "damage"]
    notes = [(f, rest) for kind, f, rest in found if kind == "note"]
    h.check((len(damages), len(notes)) == (int(m[1]), int(m[2])), "the closing line counts wrong:\n" + out)
    for f, rest in damages:
        h.check("; " in rest, "no word on what to do: %s: %s" % (f, rest))
    return damages, notes


def edit(path, at, new):
    with open(path, "r+b") as f:
        f.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
        f.write(new)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def flip(path, at):
    edit(path, at, bytes([read(path)[at] ^ 0x10]))


def crc32c(data):
    crc = 0xffffffff
    for b in data:
        crc ^= b
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 & -(crc & 1))
    return crc ^ 0xffffffff


def rewrite(path, change):
    """A kira.* file with other lines, its checksum right."""
    body = change(read(path).decode().rsplit("crc32c ", 1)[0])
    with open(path, "w") as f:
        f.write(body + "crc32c %08x\n" % crc32c(body.encode()))


def batches(path):
    """(position, size) of each batch."""
    data, at, found = read(path), 0, []
    while at + 61 <= len(data) and data[at + 16] == 2:
        size = 12 + struct.unpack_from(">i", data, at + 8)[0]
        found.append((at, size))
        at += size
    return found


def damages_of(good):
    """What to do to a copy, the file that must be named, a word of the message, and how many findings."""
    part = "idem-0"
    logs = sorted(n for n in os.listdir(os.path.join(good, part)) if n.endswith(".log"))
    h.check(len(logs) >= 3, "%s has %d segments only" % (part, len(logs)))
    first, second = part + "/" + logs[0], part + "/" + logs[1]
    last = part + "/" + logs[-1]
    stem = first[:-4]
    spots = batches(os.path.join(good, first))
    at, size = spots[len(spots) // 2]
    snapshot = second[:-4] + ".snapshot"

    def forge(path):      # another last sequence, the CRC right
        data = bytearray(read(path))
        struct.pack_into(">i", data, 10 + 10, struct.unpack_from(">i", data, 20)[0] + 1)
        struct.pack_into(">I", data, 2, crc32c(bytes(data[6:])))
        edit(path, 0, bytes(data))

    def swap(path):       # two entries
        data = read(path)
        edit(path, 0, data[8:16] + data[0:8])

    def take_out(path):   # a whole batch
        data = read(path)
        with open(path, "wb") as f:
            f.write(data[:at] + data[at + size:])

    return [
        ("a bit of a record", first, "CRC-32C is", lambda p: flip(p, at + 61 + 9), 1),
        ("a bit of the header's count", first, "header is damaged", lambda p: flip(p, at + 57 + 3), 1),
        ("a base offset", first, "must follow", lambda p: edit(p, at, struct.pack(">q", 7)), 1),
        ("a leader epoch", first, "leader epoch 9", lambda p: edit(p, at + 12, struct.pack(">i", 9)), 1),
        ("a length", first, "no batch begins here", lambda p: edit(p, at + 8, struct.pack(">i", 1 << 30)), None),
        ("a page of zeros", first, "", lambda p: edit(p, at, bytes(4096)), None),
        ("a batch taken out", first, "offsets are missing", take_out, 1),
        ("a file cut short", last, "cut short", lambda p: os.truncate(p, os.path.getsize(p) - 5), None),
        ("a zero tail", first, "zero bytes lie behind", lambda p: os.truncate(p, os.path.getsize(p) + 4096), 1),
        ("a segment removed", second, "an index without", os.unlink, 2),
        ("an index removed", stem + ".index", "its .index is missing", os.unlink, 1),
        ("an index entry", stem + ".index", "entry 1 says", lambda p: flip(p, 8 + 7), 1),
        ("two index entries swapped", stem + ".index", "entry 0 says", swap, 1),
        ("an index cut", stem + ".index", "entries, the log gives", lambda p: os.truncate(p, 8), 1),
        ("an index of odd size", stem + ".index", "whole number", lambda p: os.truncate(p, 13), 1),
        ("a time index entry", stem + ".timeindex", "entry 0 says", lambda p: flip(p, 6), 1),
        ("a bit of a snapshot", snapshot, "not a snapshot", lambda p: flip(p, 25), 1),
        ("a forged snapshot", snapshot, "the batch headers give", forge, 1),
        ("the epoch file", part + "/leader-epoch-checkpoint", "rising", lambda p: edit(p, 0, b"x"), 1),
        ("the epoch file removed", part + "/leader-epoch-checkpoint", "missing", os.unlink, 1),
        ("another topic's id", part + "/partition.metadata", "topic id", lambda p: edit(p, -4, b"abcd"), 1),
        ("a bit of kira.state", "kira.state", "crc32c", lambda p: flip(p, 20), 1),
        ("a bit of kira.topics", "kira.topics", "crc32c", lambda p: flip(p, 20), 1),
        ("a bit of kira.meta", "kira.meta", "crc32c", lambda p: flip(p, 20), 1),
        ("a bit of kira.ids", "kira.ids", "crc32c", lambda p: flip(p, 18), 1),
        ("a durable end above the log's", part, "acknowledged records are lost",
         lambda p: rewrite(os.path.join(os.path.dirname(p), "kira.state"), lambda s: re.sub(
             r"^(p idem 0 \S+ \d+ \d+) (\d+) ok( \d+ \d+)?$", lambda m: "%s %d ok" % (m[1], int(m[2]) + 1), s, flags=re.M)), 1),
        ("a partition's directory", part, "missing", shutil.rmtree, 1),
    ]


def each_damage(good):
    copy = good + ".copy"
    h.at_exit(shutil.rmtree, copy, True)
    found_by_dump = 0
    cases = damages_of(good)
    for name, file, says, do, findings in cases:
        shutil.rmtree(copy, True)
        shutil.copytree(good, copy, symlinks=True)
        do(os.path.join(copy, file))
        damages, _ = check(copy, 1)
        # A missing index is told of the log, a missing log of its index.
        where = {file}
        if not os.path.exists(os.path.join(copy, file)):
            where |= {file.replace(".index", ".log"), file.replace(".log", ".index")}
        h.check(any(f in where and says in rest for f, rest in damages),
                "%s: %s is not named, or not %r: %s" % (name, file, says, damages))
        h.check(findings is None or len(damages) == findings, "%s: more than %s: %s" % (name, findings, damages))
        code, out, _ = h.run([h.binary("kira"), "dump", copy], ok=(0, 1))
        found_by_dump += code
        h.check(code == 0 or "damage  " in out, "%s: dump ends with 1 and does not say why" % name)
    h.say("%d damages, each found and named by check, %d by dump too" % (len(cases), found_by_dump))
    h.check(found_by_dump >= 14, "dump found %d only" % found_by_dump)


def index_cure(good):
    """The advice on index files is right: removed, they come back as they were."""
    copy = good + ".copy"
    shutil.rmtree(copy, True)
    shutil.copytree(good, copy, symlinks=True)
    stem = sorted(n for n in os.listdir(os.path.join(good, "idem-0")) if n.endswith(".log"))[1][:-4]
    names = ["idem-0/%s.%s" % (stem, kind) for kind in ("index", "timeindex")]
    for name in names:
        os.unlink(os.path.join(copy, name))
    kirad = h.Kirad(data_dir=copy).start()
    kirad.stop()
    h.check(check(copy, 0) == ([], []), "something to tell after the index was made anew")
    for name in names:
        h.check(read(os.path.join(copy, name)) == read(os.path.join(good, name)), "%s is another now" % name)
        edit(os.path.join(copy, name), 3, b"x")
    h.check(len(check(copy, 1)[0]) == 2, "two index files are wrong")
    h.run([h.binary("kira"), "repair", copy, "--skip"])
    h.check(check(copy, 0) == ([], []), "something to tell after a repair of index files")
    for name in names:
        h.check(read(os.path.join(copy, name)) == read(os.path.join(good, name)), "%s is another now" % name)


def strays(good):
    """What lies about is told, and is no damage."""
    copy = good + ".copy"
    shutil.rmtree(copy, True)
    shutil.copytree(good, copy, symlinks=True)
    os.mkdir(os.path.join(copy, "gone-0"))
    for name in ("notes.txt", "idem-0/notes.txt", "idem-0/x.tmp"):
        open(os.path.join(copy, name), "w").close()
    _, notes = check(copy, 0)
    named = {f for f, _ in notes}
    h.check(named == {"gone-0", "notes.txt", "idem-0/notes.txt", "idem-0/x.tmp"}, "strays told: %s" % named)


def dumped(good):
    """The records of each topic are those that were sent."""
    for topic in ("plain", "lz4", "idem"):
        got = collections.Counter()
        for part in range(PARTITIONS):
            _, out, _ = h.run([h.binary("kira"), "dump", "--json", "--records", "%s/%s-%d" % (good, topic, part)])
            next_offset = 0
            for o in map(json.loads, out.splitlines()):
                h.check(o["type"] != "batch" or (o["ok"] and o["crc_ok"]), "dump doubts a batch: %s" % o)
                if o["type"] != "record":
                    continue
                h.check(o["offset"] == next_offset, "%s: offset %d, not %d" % (topic, o["offset"], next_offset))
                next_offset += 1
                h.check(o["headers"] == [["from", "kcat"]], "headers: %s" % o)
                got[o["key"] + "\t" + o["value"]] += 1
        want = collections.Counter("k%d\t%s" % (i, line(topic, i)) for i in range(RECORDS[topic]))
        h.check(got == want, "%s: dump's records are not those sent" % topic)
    _, out, _ = h.run([h.binary("kira"), "dump", "--records", os.path.join(good, "plain-0")])
    h.check(re.search(r'^  record 0 time \d+ key "k\d+" value "plain \d+ .*" headers "from"="kcat"$', out, re.M),
            "no record as text:\n" + out[:1000])
    h.say("dump gives back %d records as they were sent" % sum(RECORDS.values()))


def snapshots(good):
    """A line per producer, with what stands behind Kafka's bytes; a checkpoint has one inside, and an index."""
    part = os.path.join(good, "idem-0")
    name = max(n for n in os.listdir(part) if n.endswith(".snapshot"))
    b = read(os.path.join(part, name))
    n, = struct.unpack_from(">I", b, 6)
    h.check(n > 0, "%s: no producer" % name)
    _, out, _ = h.run([h.binary("kira"), "dump", "--json", os.path.join(part, name)])
    told = [o["proven_from"] for o in map(json.loads, out.splitlines()) if o["type"] == "producer"]
    h.check(told == list(struct.unpack_from(">%di" % n, b, 10 + 46 * n)), "proven from: %s" % told)
    head = struct.pack(">qqQiIIIqII", 100, 108, 4096, 2, 2, 1, 7, 1700000000000, 5, len(b))
    body = head + struct.pack(">IIIIqI", 3, 0, 5, 2048, 1700000000000, 5) + b
    path = os.path.join(h.temp_dir(), "00000000000000000100.checkpoint")
    for wrong in 0, 1:
        with open(path, "wb") as f:
            f.write(b"KCPT" + struct.pack(">II", 1, crc32c(body) ^ wrong) + body)
        _, out, _ = h.run([h.binary("kira"), "dump", "--json", path], ok=(wrong,))
        types = collections.Counter(json.loads(l)["type"] for l in out.splitlines())
        want = {"damage": 1} if wrong else {"checkpoint": 1, "index": 2, "timeindex": 1, "producer": n}
        h.check(types == collections.Counter({"file": 1, "end": 1, **want}), "a checkpoint, its CRC off by %d: %s" % (wrong, out))
        h.check(wrong or '"end_offset":108,"position":4096,"leader_epoch":2,' in out, "a checkpoint: %s" % out)


def killed(kirad):
    """The tail of a killed kirad is told as such."""
    kirad.start()
    fill(kirad, "idem", ["-X", "enable.idempotence=true"], 3000)
    kirad.kill9()
    where = kirad.data_dir
    _, notes = check(where, 0)
    tails = [(f, rest) for f, rest in notes if "unsealed tail" in rest]
    h.check(tails and all(f.startswith("idem-") and f.endswith(".log") for f, _ in tails), "no tail: %s" % notes)
    h.check(("kira.state" in [f for f, _ in notes]), "not told that the stop was not clean: %s" % notes)
    # A batch that was being copied when the power went: behind everything that was durable.
    log = os.path.join(where, tails[0][0])
    at = int(re.search(r"position (\d+)", tails[0][1])[1])
    edit(log, at, read(log)[:200])
    _, notes = check(where, 0)
    h.check(any(f == tails[0][0] and "unsealed tail" in rest and "*.dropped" in rest for f, rest in notes),
            "a torn tail is not told: %s" % notes)
    edit(log, at, bytes(200))
    # The same below it is damage.
    part = os.path.dirname(tails[0][0])
    topic, index = part.rsplit("-", 1)
    end = int(re.search(r"offset (\d+)", tails[0][1])[1])
    state = read(os.path.join(where, "kira.state"))
    rewrite(os.path.join(where, "kira.state"), lambda s: re.sub(
        r"^(p %s %s \S+ \d+ \d+) \d+ ok( \d+ \d+)?$" % (topic, index), r"\1 %d ok" % end, s, flags=re.M))
    check(where, 0)
    flip(log, at - 100)
    damages, _ = check(where, 1)
    h.check(len(damages) == 1 and damages[0][0] == part and "acknowledged" in damages[0][1],
            "a torn batch that was durable: %s" % damages)
    flip(log, at - 100)
    edit(os.path.join(where, "kira.state"), 0, state)
    os.truncate(os.path.join(where, "kira.state"), len(state))
    kirad.start()
    kirad.stop()
    h.check(check(where, 0) == ([], []), "the next start left something to tell")
    h.say("the tail of a killed kirad is told, and gone after the next start")


def odd_places(good):
    """What an operator names by mistake, or may not read: exit 2, and a word on what to do."""
    part = os.path.join(good, "idem-0")
    empty, foreign = h.temp_dir(), h.temp_dir()
    with open(os.path.join(foreign, "notes.txt"), "w") as f:
        f.write("nothing of Kira's")
    later = h.temp_dir()
    shutil.copytree(good, later, dirs_exist_ok=True)
    rewrite(os.path.join(later, "kira.meta"), lambda t: re.sub(r"\nformat \d+", "\nformat 99", t))
    closed = h.temp_dir()
    shutil.copytree(good, closed, dirs_exist_ok=True)
    for where in [os.path.join(closed, "idem-0")] + [os.path.join(closed, "idem-0", n) for n in os.listdir(part)]:
        os.chmod(where, 0)
    nobody = ["setpriv", "--reuid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    os.chmod(closed, 0o755)
    os.chmod(os.path.join(closed, ".lock"), 0o666)
    for command, where, words in (
            (["check"], empty, "kira.meta"), (["check"], part, "the directory above"),
            (["check"], os.path.join(good, "kira.meta"), "kira dump"), (["check"], empty + "/no", "mounted"),
            (["check"], later, "format 99"), (["repair"], later, "format 99"), (["repair"], part, "the directory above"),
            (["dump"], empty, "nothing"), (["dump"], foreign, "nothing"), (["dump"], foreign + "/notes.txt", "*.log"),
            (["dump"], empty + "/no", "No such file"),
            (nobody + ["check"], closed, "the user that kirad runs as"),
            (nobody + ["repair"], closed, "the user that kirad runs as"),
            (nobody + ["dump"], closed + "/idem-0", "the user that kirad runs as")):
        code, _, err = h.run(command[:-1] + [h.binary("kira"), command[-1], where], ok=None)
        h.check(code == 2 and words in err, "kira %s %s: %d, and not %r: %s" % (command[-1], where, code, words, err))


def body():
    kirad = h.Kirad(extra=["--num-partitions", str(PARTITIONS), "--topic-default", "segment.bytes=1048576"]).start()
    fill(kirad, "plain", [])
    fill(kirad, "lz4", ["-z", "lz4"])
    fill(kirad, "idem", ["-X", "enable.idempotence=true", "-X", "linger.ms=0", "-X", "batch.num.messages=50"])
    code, _, err = h.run([h.binary("kira"), "check", kirad.data_dir], ok=None)
    h.check(code == 2 and "in use" in err and kirad.data_dir in err, "check beside a kirad: %d, %s" % (code, err))
    h.check(kirad.lives(), "kirad died of kira check")
    kirad.stop()
    code, _, err = h.run([h.binary("kira"), "check", h.temp_dir()], ok=None)
    h.check(code == 2 and "kira.meta" in err, "check of an empty directory: %d, %s" % (code, err))
    good = kirad.data_dir
    before = {n: read(os.path.join(d, n)) for d, _, names in os.walk(good) for n in names
              if os.path.isfile(os.path.join(d, n))}
    h.check(check(good, 0) == ([], []), "something to tell after a clean stop")
    _, out, _ = h.run([h.binary("kira"), "dump", good])
    h.check("damage  " not in out, "dump finds damage after a clean stop")
    dumped(good)
    snapshots(good)
    each_damage(good)
    strays(good)
    index_cure(good)
    odd_places(good)
    after = {n: read(os.path.join(d, n)) for d, _, names in os.walk(good) for n in names
             if os.path.isfile(os.path.join(d, n))}
    h.check(before == after, "check or dump changed a file")
    killed(kirad)


h.main(body)
