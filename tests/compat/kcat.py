#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# needs: clients
# timeout: 180
"""kcat.py - kcat 1.7.1 lists, produces (plain, LZ4, idempotent, acks 0, 1, all), consumes and queries.

What comes back is compared with what went in as multisets, with check.crcs=true."""
import json
import os
import re
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "pipeline")]
import cells
import harness as h


def body():
    kcat = h.need("kcat", "kcat")
    cell = cells.Client(cells.KCAT, *cells.CODEC.values(), cells.IDEMPOTENT, cells.TIMES)
    kirad = h.Kirad(extra=["--num-partitions", "4"]).start()
    base = [kcat, "-b", kirad.bootstrap]

    def consume(topic, *more):
        _, out, _ = h.run(base + ["-C", "-t", topic, "-o", "beginning", "-e", "-q", "-X", "check.crcs=true"] + list(more))
        return out.splitlines()

    forms = {"plain": [], "lz4": ["-z", "lz4"], "idempotent": ["-X", "enable.idempotence=true", "-z", "lz4"],
             "acks-1": ["-X", "acks=1"], "acks-0": ["-X", "acks=0"], "acks-all": ["-X", "acks=all"],
             "gzip": ["-z", "gzip"], "snappy": ["-z", "snappy"], "zstd": ["-z", "zstd"]}
    for topic, options in forms.items():
        lines = ["%s %d" % (topic, n) for n in range(20000)]
        h.run(base + ["-P", "-t", topic] + options, stdin="\n".join(lines).encode())
        if topic == "acks-0":       # answered by nothing: wait until the ends say it is all there
            h.until(lambda: len(consume(topic)) >= len(lines), 20, "acks=0 records arrive")
        differs = h.same_multiset([x.encode() for x in lines], [x.encode() for x in consume(topic)])
        h.check(not differs, "%s: %s" % (topic, differs))
        h.say("%-10s 20000 records there and back" % topic)
        cell.passed(*{cells.CODEC.get(topic), cells.IDEMPOTENT if topic == "idempotent" else None} - {None})

    _, out, _ = h.run(base + ["-L", "-J"])
    meta = json.loads(out)
    topics = {t["topic"]: t for t in meta["topics"]}
    h.check(set(forms) <= set(topics), "kcat -L names %s" % sorted(topics))
    for name in forms:
        parts = topics[name]["partitions"]
        h.check(len(parts) == 4, "%s has %d partitions" % (name, len(parts)))
        h.check(all(p["leader"] == meta["brokers"][0]["id"] for p in parts), "a partition without its leader")
    h.say("kcat -L: %d topics" % len(topics))

    # Keys and headers come back as they went in.
    h.run(base + ["-P", "-t", "kv", "-p", "0", "-K", "\t", "-H", "a=1", "-H", "b=zwei"],
          stdin=b"k1\tv1\nk2\tv2\n")
    _, out, _ = h.run(base + ["-C", "-t", "kv", "-p", "0", "-o", "beginning", "-e", "-q", "-f", "%k=%s %h\n"])
    h.check(out.splitlines() == ["k1=v1 a=1,b=zwei", "k2=v2 a=1,b=zwei"], "keys and headers: %r" % out)

    # Offsets by position and by time.
    first = int(time.time() * 1000)
    h.run(base + ["-P", "-t", "times", "-p", "0"], stdin=b"early\n")
    time_between = h.until(lambda: int(time.time() * 1000) > first + 50 and int(time.time() * 1000), 5, "50 ms pass")
    h.run(base + ["-P", "-t", "times", "-p", "0"], stdin=b"late\n")
    _, out, _ = h.run(base + ["-C", "-t", "times", "-p", "0", "-o", "s@%d" % time_between, "-e", "-q"])
    h.check(out == "late\n", "from time %d: %r" % (time_between, out))
    for at, want in (("-1", 2), ("-2", 0), (str(time_between), 1)):
        _, out, _ = h.run(base + ["-Q", "-t", "times:0:%s" % at])
        got = int(re.search(r"offset (-?\d+)", out).group(1))
        h.check(got == want, "kcat -Q times:0:%s gives %d, expected %d" % (at, got, want))
    _, out, _ = h.run(base + ["-C", "-t", "times", "-p", "0", "-o", "-1", "-e", "-q"])
    h.check(out == "late\n", "the last one: %r" % out)
    cell.passed(cells.TIMES)

    # A consumer that waits gets a record when it comes, not when its wait ends.
    waiter = h.Process("waiter", base + ["-C", "-t", "times", "-p", "0", "-o", "end", "-c", "1", "-u",
                                         "-X", "fetch.wait.max.ms=10000"])
    h.until(lambda: "Reached end" in waiter.output(), 20, "the consumer has read to the end and waits")
    started = time.monotonic()
    h.until(lambda: (h.run(base + ["-P", "-t", "times", "-p", "0"], stdin=b"awaited\n") and waiter.poll() is not None), 8,
            "a waiting consumer gets the record")
    h.check(time.monotonic() - started < 8, "too late")
    h.say("a waiting consumer is woken")
    kirad.stop()
    h.say("result: %d forms x 20000 records, keys, headers, times, long poll" % len(forms))


h.main(body)
