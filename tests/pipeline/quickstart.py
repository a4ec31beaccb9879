#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# needs: clients
# timeout: 300
"""quickstart.py - scripts/quickstart.sh from another directory: its last line has every promised key and
its numbers agree; with a broker that stops answering it says so and exits 1; either way nothing of it
is left running or lying about."""
import glob
import json
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h

SCRIPT = os.path.join(h.ROOT, "scripts", "quickstart.sh")
KEYS = {"records_ingested", "bytes_ingested", "ingest_seconds", "ack_p50_us", "ack_p99_us", "records_lost",
        "records_duplicated", "records_fetched", "bytes_fetched", "fetch_seconds", "crc_errors", "limited_by"}


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return [int(c) for c in f.read().split()]


def name(pid):
    try:
        with open("/proc/%d/comm" % pid) as f:
            return f.read().strip()
    except FileNotFoundError:
        return ""


def left_over(output):
    place = re.search(r"directory (/var/tmp/kira-quickstart-\w+)/data", output)
    h.check(place, "it does not say where its data lies:\n%s" % output[-1500:])
    h.check(not os.path.exists(place.group(1)), "%s is still there" % place.group(1))
    for status in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(status, "rb") as f:
                h.check(place.group(1).encode() not in f.read(), "still running: %s" % status)
        except (FileNotFoundError, ProcessLookupError):
            pass


def good_run():
    os.chdir("/")
    _, out, err = h.run([SCRIPT, "--json", "--seconds", "2", "--bytes", "200000000"], seconds=250)
    got = json.loads(out.strip().splitlines()[-1])
    h.check(set(got) == KEYS, "keys of the last line: %s" % sorted(got))
    h.check(got["records_ingested"] > 0 and got["records_ingested"] == got["records_fetched"], "counts: %s" % got)
    h.check(got["records_lost"] == got["records_duplicated"] == got["crc_errors"] == 0, "faults: %s" % got)
    h.check(0 < got["bytes_fetched"] < got["bytes_ingested"] <= 200000000, "bytes: %s" % got)
    h.check(got["limited_by"], "it does not say what limited it")
    left_over(out)
    h.say("%d records in %.2f s, fetched in %.2f s" % (got["records_ingested"], got["ingest_seconds"],
                                                       got["fetch_seconds"]))
    return got


def broker_stops_answering():
    p = h.Process("quickstart", [SCRIPT, "--seconds", "60", "--bytes", "2000000000"])

    def kirad():
        h.check(p.poll() is None, "it ended before kirad served:\n%s" % p.output()[-1500:])
        return [c for c in children(p.pid) if name(c) == "kirad"] if "kira-blast on CPU" in p.output() else None
    pid = h.until(kirad, 200, "kirad runs")[0]
    h.until(lambda: " records/s" in p.output(), 60, "kira-blast sends")
    os.kill(pid, signal.SIGSTOP)
    begun = time.monotonic()
    h.check(p.wait(60) == 1, "exit %s where no ack came" % p.poll())
    out = p.output()
    h.check("no ack for 5" in out and "FAILED" in out, "it does not say why:\n%s" % out[-1500:])
    left_over(out)
    h.say("a stopped broker is told after %.0f s" % (time.monotonic() - begun))


def body():
    h.need("kcat", "kcat")
    got = good_run()
    broker_stops_answering()
    h.say("result: %d records/s in, %d records/s out by kcat, limit %s" % (
        got["records_ingested"] / got["ingest_seconds"], got["records_fetched"] / got["fetch_seconds"],
        got["limited_by"].split(":")[0]))


h.main(body)
