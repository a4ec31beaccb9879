#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --kills 5 --loss 0.02
# quick: --kills 3 --acks disk
# quick: --blackout
# quick: --kills 3 --large
# long: --kills 60 --loss 0.05
# long: --kills 60 --loss 0.02 --large --acks disk
# needs: root
# timeout: 240
"""kill_produce.py - `kira produce` goes on while kirad is killed, datagrams get lost, or their path goes dark.

Numbered lines flow into `kira produce` in one network namespace, over UDP to kirad on afpacket: in the other.
kirad is killed and started again, again and again; with --loss datagrams are lost, doubled and delayed in both
directions (relay.c); with --blackout the data link goes down for good and the rest must come over TCP; with --large
one line of 500 fits no datagram and goes over TCP, between those that do, at each kill. At the end every line is there once, in order within its partition, and the tool says that all are acked."""
import argparse
import os
import re
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h
import relaying

PARTITIONS = 3
LINES_PER_MS = 100
LARGE_IN, LARGE_BYTES = 500, 4000


class Feed(threading.Thread):
    """Numbers, a line each, at a pace, until stop() is called."""

    def __init__(self, fd, large):
        super().__init__(daemon=True)
        self.fd, self.lines, self.ended = fd, 0, threading.Event()
        self.large = b" " + b"x" * LARGE_BYTES if large else b""

    def line(self, n):
        return b"%d%s\n" % (n, self.large if n % LARGE_IN == LARGE_IN - 1 else b"")

    def run(self):
        with os.fdopen(self.fd, "wb") as out:
            while not self.ended.wait(0.01):
                out.write(b"".join(map(self.line, range(self.lines, self.lines + 10 * LINES_PER_MS))))
                out.flush()
                self.lines += 10 * LINES_PER_MS

    def stop(self):
        self.ended.set()
        self.join(120)
        h.check(not self.is_alive(), "kira produce does not read its input any more")
        return self.lines


def body():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--kills", type=int, default=0)
    args.add_argument("--loss", type=float, default=0)
    args.add_argument("--acks", choices=("none", "log", "disk"), default="log")
    args.add_argument("--blackout", action="store_true")
    args.add_argument("--large", action="store_true")
    args = args.parse_args()
    kcat = h.need("kcat", "kcat")
    kira = h.binary("kira")
    rng = h.seeded()
    ns = h.Namespaces()
    ns.join("kafka0", "kafka1", "10.78.0.1/24", "10.78.0.2/24")
    path = None
    if args.loss:
        path = relaying.Path(ns, "10.77.0.1/24", "10.77.0.2/24")
        path.start(seed=rng.randrange(1 << 31), loss=args.loss, duplicate=args.loss / 2, reorder=args.loss, depth=12)
    else:
        ns.join("data0", "data1", "10.77.0.1/24", "10.77.0.2/24")
    kirad = h.Kirad(device="afpacket:data0", netns=ns.server, listen="10.78.0.1:0",
                    extra=["--address", "10.77.0.1/24"]).start()
    h.run([kira, "topic", "create", "k", "--partitions", PARTITIONS, "--bootstrap", kirad.bootstrap], netns=ns.client)

    read_end, write_end = os.pipe()
    tool = h.Process("produce", [kira, "produce", "--topic", "k", "--bootstrap", kirad.bootstrap, "--acks", args.acks,
                                 "--transport", "auto" if args.blackout or args.large else "udp", "--udp-address", "10.77.0.2"],
                     netns=ns.client, stdin=read_end)
    os.close(read_end)
    feed = Feed(write_end, args.large)
    feed.start()

    def stored():
        return kirad.count("udp_records", "store") + kirad.count("tcp_records", "store")

    def flows(more, what):
        now = stored()
        h.until(lambda: stored() >= now + more, 60, what)

    flows(1, "the first records are stored")
    for kill in range(args.kills):
        flows(rng.randrange(1, 20000), "records are stored")
        if args.large:
            h.until(lambda: kirad.count("udp_records", "store") > 0 and kirad.count("tcp_records", "store") > 0, 60,
                    "this kirad got records by both ways")
        kirad.kill9()
        kirad.start()
        flows(1, "records are stored after kill %d" % (kill + 1))
        h.say("kill %d: back in service, %d lines fed" % (kill + 1, feed.lines))
    if args.blackout:
        flows(5000, "records are stored over UDP")
        h.run(["ip", "-n", ns.client, "link", "set", "data1", "down"])
        h.until(lambda: kirad.count("tcp_records", "store") > 0, 60, "records come over TCP")
        h.say("the data link is down, records come over TCP")
    lines = feed.stop()
    code = tool.wait(150)
    said = tool.output().strip()
    h.check(code == 0, "kira produce ended with %d: %s" % (code, said[-1500:]))
    way = "udp+tcp" if args.blackout or args.large else "udp"
    h.check(re.search(r"^kira produce: %d records .* over %s," % (lines, re.escape(way)), said, re.M),
            "the closing line: %s" % said[-1500:])

    _, out, _ = h.run([kcat, "-b", kirad.bootstrap, "-C", "-t", "k", "-o", "beginning", "-e", "-q", "-X", "check.crcs=true",
                       "-f", "%p %s\n"], netns=ns.client, seconds=120)
    last = [-1] * PARTITIONS
    seen = set()
    for row in out.splitlines():
        part, number = (int(word) for word in row.split()[:2])
        whole = args.large and number % LARGE_IN == LARGE_IN - 1
        h.check((len(row) > LARGE_BYTES) == whole, "line %d has %d bytes" % (number, len(row)))
        h.check(number not in seen, "line %d is there twice" % number)
        h.check(number > last[part], "partition %d: %d stands behind %d" % (part, number, last[part]))
        last[part] = number
        seen.add(number)
    h.check(len(seen) == lines, "%d of %d lines are there" % (len(seen), lines))
    faults = "no loss injected"
    if path:
        counts = path.stop()
        faults = ", ".join("%s %s" % (what, "+".join(str(counts[way][what]) for way in ("out", "back")))
                           for what in ("lost", "doubled", "reordered"))
        h.check(all(counts["out"][what] > 0 for what in ("lost", "doubled", "reordered")), "a fault never happened: " + faults)
    kirad.stop()
    h.say("result: %d kills, %d lines, all there once and in order; %s; %s" % (
        args.kills, lines, faults, said.splitlines()[-1][:200]))


h.main(body)
