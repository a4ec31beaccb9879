#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --mib 1024
# needs: clients
# timeout: 300
"""rss.py - a fetch of 1 GiB costs kirad at most 16 MiB of anonymous memory above what it had."""
import argparse
import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fill
import harness as h

ALLOWED_KIB = 16 << 10


def body():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--mib", type=int, default=1024)
    args = args.parse_args()
    kcat = h.need("kcat", "kcat")
    kirad = h.Kirad().start()
    sent = fill.topic(kirad, "t", args.mib << 20)
    before = kirad.status("RssAnon")
    peak, stop = [before], threading.Event()

    def watch():
        while not stop.wait(0.005):
            peak[0] = max(peak[0], kirad.status("RssAnon"))
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    h.say("topic holds %d bytes; RssAnon %d KiB" % (sent, before))
    with open(os.devnull, "wb") as f:
        h.run([kcat, "-b", kirad.bootstrap, "-C", "-t", "t", "-o", "beginning", "-e", "-q", "-X", "check.crcs=true"],
              stdout_file=f, seconds=200)
    stop.set()
    watcher.join()
    h.check(peak[0] - before <= ALLOWED_KIB, "RssAnon rose from %d to %d KiB, allowed are %d more" % (
        before, peak[0], ALLOWED_KIB))
    kirad.stop()
    h.say("result: fetched %d bytes, RssAnon before %d KiB, peak %d KiB" % (sent, before, peak[0]))


h.main(body)
