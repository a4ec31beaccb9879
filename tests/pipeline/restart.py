#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# needs: clients
# timeout: 240
"""restart.py - a clean stop keeps everything, tells no epoch change, and needs no repair at the start.

Also: a second kirad on the same directory is refused with a reason, and the first one does not notice."""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h


def lines(kcat, kirad, topic):
    _, out, _ = h.run([kcat, "-b", kirad.bootstrap, "-C", "-t", topic, "-o", "beginning", "-e", "-q",
                       "-X", "check.crcs=true", "-f", "%p %o %s\n"])
    return sorted(out.splitlines())      # kcat mixes partitions as it gets them


def body():
    kcat = h.need("kcat", "kcat")
    kirad = h.Kirad(extra=["--num-partitions", "3"]).start()
    sent = []
    for turn in range(4):
        part = ["%d-%d" % (turn, n) for n in range(5000)]
        sent += part
        h.run([kcat, "-b", kirad.bootstrap, "-P", "-t", "r", "-X", "enable.idempotence=true"],
              stdin="\n".join(part).encode())
        before = lines(kcat, kirad, "r")
        kirad.stop()
        kirad.start()
        after = lines(kcat, kirad, "r")
        h.check(before == after, "turn %d: what is read after the restart differs" % turn)
        h.say("restart %d keeps %d records" % (turn + 1, len(after)))
    differs = h.same_multiset([x.encode() for x in sent], [x.split(" ", 2)[2].encode() for x in after])
    h.check(not differs, "sent and read differ: %s" % differs)
    _, out, _ = h.run([kcat, "-b", kirad.bootstrap, "-Q", "-t", "r:0:-1", "-t", "r:1:-1", "-t", "r:2:-1"])
    ends = [int(x) for x in re.findall(r"offset (\d+)", out)]
    h.check(sum(ends) == len(sent), "end offsets %s do not add up to %d" % (ends, len(sent)))

    second = h.Process("second", [h.binary("kirad"), "--data-dir", kirad.data_dir, "--listen", "127.0.0.1:0",
                                  "--device", "null", "--cpus", kirad.cpus])
    code = second.wait(30)
    h.check(code not in (0, -6, -11), "a second kirad on the directory ended with %s" % code)
    h.check(kirad.data_dir in second.output(), "its message does not name the directory: %s" % second.output())
    h.check(lines(kcat, kirad, "r") == after, "the first kirad noticed the second")
    kirad.stop()


h.main(body)
