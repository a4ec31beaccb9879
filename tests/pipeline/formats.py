#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# timeout: 240
"""formats.py - directories of the format before are opened and raised, those of a later one are refused.

golden/format-1/ was written by a kirad of format 1, once stopped and once killed. All its records are there,
once and in order, after the start that raises it, and `kira check` has nothing against it before and after. A
number that this kirad does not know is refused with one line that says what to do, and nothing is touched."""
import hashlib
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "compat"))
import harness as h
from log_files import crc32c

GOLDEN = os.path.join(h.ROOT, "tests", "golden", "format-1")
# The fixture's records are of one day: no retention may take them.
KEEP = ["--topic-default", "retention.ms=-1", "--topic-default", "retention.bytes=-1"]
SENT = {"clean": {0: [(1, 500), (1001, 1500)], 1: [(501, 1000), (1501, 2000)]},
        "killed": {0: [(1, 500), (1001, 1500), (2001, 2300)], 1: [(501, 1000), (1501, 2000), (2301, 2600)]}}


def copy_of(kind):
    to = os.path.join(h.temp_dir(), "data")
    shutil.copytree(os.path.join(GOLDEN, kind), to)
    return to


def meta(data):
    with open(os.path.join(data, "kira.meta")) as f:
        return f.read()


def set_format(data, number):
    body = re.sub(r"^format .*$", "format %d" % number, meta(data), flags=re.M)
    body = body[:body.index("crc32c ")]
    with open(os.path.join(data, "kira.meta"), "w") as f:
        f.write(body + "crc32c %08x\n" % crc32c(body.encode()))


def fingerprint(data):
    found = {}
    for folder, _, names in os.walk(data):
        for name in names:
            if name != ".lock":
                with open(os.path.join(folder, name), "rb") as f:
                    found[os.path.relpath(os.path.join(folder, name), data)] = hashlib.sha256(f.read()).hexdigest()
    return found


def records(kirad, partition):
    _, out, _ = h.run([h.binary("kira"), "consume", "-b", kirad.bootstrap, "-t", "old", "-p", partition, "-e",
                       "-f", "%o %s\n"])
    return out.split("\n")[:-1]


def check(data):
    h.run([h.binary("kira"), "check", "--quiet", data])


def raised(kind):
    data = copy_of(kind)
    check(data)
    kirad = h.Kirad(data_dir=data, extra=KEEP)
    for turn in range(2):
        kirad.start()
        h.check("\nformat 2\n" in meta(data), "%s: kira.meta does not say format 2" % kind)
        for partition, ranges in SENT[kind].items():
            want = ["record-%d" % n for first, last in ranges for n in range(first, last + 1)]
            want = ["%d %s" % x for x in enumerate(want)]
            have = records(kirad, partition)
            h.check(have == want, "%s partition %d: %d records, %d sent; first difference %s" % (
                kind, partition, len(have), len(want), next((x for x in zip(have, want) if x[0] != x[1]), None)))
        kirad.stop()
        check(data)
    h.say("format 1, %s: raised, all records there, stopped and started again" % kind)


def refused(number):
    data = copy_of("clean")
    set_format(data, number)
    before = fingerprint(data)
    kirad = h.Process("refused", [h.binary("kirad"), "--data-dir", data, "--listen", "127.0.0.1:0", "--device", "null",
                                  "--cpus", h.cpu_list()])
    code = kirad.wait(30)
    lines = [x for x in kirad.output().split("\n") if "format" in x]
    h.check(code == 1 and len(lines) == 1, "format %d: exit %d, said %s" % (number, code, kirad.output()))
    h.check("has format %d, this kirad knows formats 1 and 2: start " % number in lines[0], "said: " + lines[0])
    h.check(fingerprint(data) == before, "format %d: something in the directory changed" % number)
    code, _, err = h.run([h.binary("kira"), "check", data], ok=None)
    h.check(code == 2 and "has format %d" % number in err, "kira check: exit %d: %s" % (code, err))
    h.say("format %d is refused: %s" % (number, lines[0].split("has format", 1)[1].strip()))


def body():
    for kind in SENT:
        raised(kind)
    refused(3)
    refused(1000)
    h.say("result: format 1 opened twice and raised, 2 later ones refused untouched")


h.main(body)
