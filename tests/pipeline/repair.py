#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# needs: clients
# timeout: 240
"""repair.py - kira repair, from the halt to consumers that read on.

A partition of several segments is damaged while kirad is stopped: a bit of a batch in a sealed segment and in the
unsealed tail of a killed kirad, below what was durable; a segment missing; a sealed segment cut short. Where kirad
sees it at its start it halts the partition and names the command. kira check finds each. kira repair without a way
changes nothing and says what either costs; with --skip or --truncate exactly those offsets are gone, everything else
is read back by kcat as it was sent, the offsets go on, and kira check has nothing to tell."""
import hashlib
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h

RECORDS = 5000


def line(n):
    return "record %d %s" % (n, chr(97 + n % 26) * 900)


def produce(kirad, first, n):
    confluent = h.need_module("confluent_kafka", "python3-confluent-kafka")
    producer = confluent.Producer({"bootstrap.servers": kirad.bootstrap, "acks": "all", "log_level": 3,
                                   "batch.num.messages": 20, "enable.idempotence": True})
    wrong, offsets = [], []

    def done(err, msg):
        wrong.append(err) if err else offsets.append(msg.offset())
    for i in range(first, first + n):
        producer.produce("t", line(i), partition=0, on_delivery=done)
        if i % 1000 == 999:
            producer.poll(0)
    h.check(producer.flush(120) == 0 and not wrong, "not all was acked: %s" % wrong[:1])
    return offsets


def consume(kirad, offset="beginning"):
    """{offset: value}, in order, as kcat reads them."""
    kcat = h.need("kcat", "kcat")
    _, out, _ = h.run([kcat, "-b", kirad.bootstrap, "-C", "-t", "t", "-p", "0", "-o", offset, "-e", "-q",
                       "-X", "check.crcs=true", "-f", "%o %s\\n"])
    got = [l.split(" ", 1) for l in out.splitlines()]
    offsets = [int(o) for o, _ in got]
    h.check(offsets == sorted(set(offsets)), "offsets do not rise")
    return {int(o): v for o, v in got}


def tree(where):
    """Every file's bytes, as a digest."""
    sums = {}
    for d, _, names in os.walk(where):
        for n in names:
            path = os.path.join(d, n)
            if os.path.isfile(path) and not d.endswith("/run"):
                with open(path, "rb") as f:
                    sums[path] = hashlib.sha256(f.read()).hexdigest()
    return sums


def logs(where):
    return sorted(n for n in os.listdir(os.path.join(where, "t-0")) if n.endswith(".log"))


def flip(where, name, at):
    with open(os.path.join(where, "t-0", name), "r+b") as f:
        f.seek(at)
        b = f.read(1)
        f.seek(at)
        f.write(bytes([b[0] ^ 0x10]))


def used(path):
    with open(path, "rb") as f:
        return len(f.read().rstrip(b"\0"))


def last_with_records(where):
    return [p for p in (os.path.join(where, "t-0", n) for n in logs(where)) if os.path.getsize(p) > 70000][-1]


def remove(where, name):
    for end in (".log", ".index", ".timeindex"):
        os.unlink(os.path.join(where, "t-0", name[:-4] + end))


def cases(clean, killed):
    """What was done to a copy of which directory, and whether a start of kirad sees it."""
    second = logs(clean)[1]
    tail = logs(killed)[-1]
    middle = used(os.path.join(killed, "t-0", tail)) // 2
    return [
        ("a bit of a sealed segment", clean, lambda d: flip(d, second, 300000), False),
        ("two bits of two sealed segments", clean,
         lambda d: (flip(d, second, 300000), flip(d, logs(d)[2], 500000)), False),
        ("a bit of an unsealed tail that was durable", killed, lambda d: flip(d, tail, middle), True),
        ("a segment missing", clean, lambda d: remove(d, second), True),
        ("the first segment missing", clean, lambda d: remove(d, logs(d)[0]), True),
        ("a sealed segment cut short", clean, lambda d: os.truncate(os.path.join(d, "t-0", second), 400000), True),
        ("the last segment cut short", clean, lambda d: os.truncate(last_with_records(d), 70000), True),
    ]


def repair(where, *args, code):
    got, out, err = h.run([h.binary("kira"), "repair", where] + list(args), ok=None)
    h.check(got == code, "kira repair %s ended with %d, not %d:\n%s%s" % (" ".join(args), got, code, out, err))
    return out


def halted(where):
    """The command that kirad names when it starts on it."""
    kirad = h.Kirad(data_dir=where).start()
    told = re.compile(r"topic t partition 0 is halted: .*`kira repair (\S+) (\S+)`")
    # Sealed segments are looked at behind the start.
    h.until(lambda: told.search(kirad.process.output()), 20, "a halt that names the command")
    m = told.search(kirad.process.output())
    kirad.stop()
    h.check((m[1], m[2]) == (os.path.realpath(where), "t-0"), "another directory or partition: %s" % m[0])
    return m[2]


def broken(out):
    """Offsets in the lines `broken`."""
    lost = set()
    for a, b, n in re.findall(r"^broken .*?offsets (\d+) to (\d+) \((\d+)\): ", out, re.M):
        h.check(int(b) - int(a) + 1 == int(n), "counts wrong: %s %s %s" % (a, b, n))
        lost |= set(range(int(a), int(b) + 1))
    return lost


def check(where, code):
    got, out, err = h.run([h.binary("kira"), "check", where], ok=None)
    h.check(got == code, "check ended with %d, not %d:\n%s" % (got, code, out))
    h.check(code == 0 or ("kira repair" in out and "kira repair " + where in err), "check names no repair:\n%s%s" % (out, err))


def one(name, good, do, sees, way):
    where = good + ".copy"
    h.at_exit(shutil.rmtree, where, True)
    shutil.rmtree(where, True)
    shutil.copytree(good, where, symlinks=True)
    do(where)
    part = halted(where) if sees else "t-0"
    before = tree(where)
    check(where, 1)
    told = repair(where, code=1)
    repair(where, part, way, "--dry-run", code=1)
    h.check(tree(where) == before, "%s: looking changed a file" % name)
    lost = broken(told)
    if way == "--truncate":
        end = min(lost)
        lost = set(range(end, RECORDS))
    out = repair(where, part, way, code=0)
    h.check(re.search(r" 1 broken, 1 repaired, %d offsets lost$" % len(lost), out, re.M), "counts:\n" + out)
    check(where, 0)
    repair(where, way, code=0)
    kirad = h.Kirad(data_dir=where).start()
    h.check("halted" not in kirad.process.output(), "%s: halted after the repair" % name)
    got = consume(kirad)
    want = {o: line(o) for o in range(RECORDS) if o not in lost}
    h.check(got == want, "%s %s: %d records, not %d; missing %s, too many %s" % (
        name, way, len(got), len(want), sorted(set(want) - set(got))[:5], sorted(set(got) - set(want))[:5]))
    if way == "--skip":
        inside = consume(kirad, str(min(lost)))
        h.check(inside == {o: v for o, v in want.items() if o > min(lost)}, "a read from inside a hole")
    offsets = produce(kirad, RECORDS, 50)
    end = RECORDS if way == "--skip" else min(lost)
    h.check(offsets == list(range(end, end + 50)), "appended at %d, not %d" % (offsets[0], end))
    h.check(consume(kirad, str(end)) == {end + i: line(RECORDS + i) for i in range(50)}, "the new records")
    kirad.stop()
    check(where, 0)
    kept = [n for n in os.listdir(os.path.join(where, "t-0")) if ".log.bad" in n]
    h.check(kept or "missing" in name, "nothing was kept of what was cut out")
    return len(lost)


def body():
    clean = h.Kirad(extra=["--topic-default", "segment.bytes=1048576"])
    clean.start()
    h.check(produce(clean, 0, RECORDS) == list(range(RECORDS)), "the offsets of a fresh log")
    killed = clean.data_dir + ".killed"
    h.at_exit(shutil.rmtree, killed, True)

    def told():
        with open(os.path.join(clean.data_dir, "kira.state")) as f:
            return re.search(r"^p t 0 .* %d ok$" % RECORDS, f.read(), re.M)
    h.until(told, 30, "kira.state says that all is durable")
    clean.kill9()
    shutil.copytree(clean.data_dir, killed, symlinks=True)
    clean.start()
    clean.stop()
    h.check(len(logs(clean.data_dir)) >= 5, "%d segments only" % len(logs(clean.data_dir)))
    for where in (clean.data_dir, killed):
        check(where, 0)
        h.check(not re.search(r"^(broken|would|mend)", repair(where, code=0), re.M), "something broken before anything was broken")
    total = 0
    for name, good, do, sees in cases(clean.data_dir, killed):
        lost = [one(name, good, do, sees, way) for way in ("--skip", "--truncate")]
        h.check(0 < lost[0] <= lost[1], "%s: --skip loses %d, --truncate %d" % (name, lost[0], lost[1]))
        h.say("%s: --skip loses %d of %d records, --truncate %d" % (name, lost[0], RECORDS, lost[1]))
        total += 2
    h.say("result: %d repairs, each lost what it had told and nothing else" % total)


h.main(body)
