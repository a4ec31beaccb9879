#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --some
# quick: --some --device afxdp
# quick: --stall
# long: --matrix --device afpacket
# long: --matrix --device afxdp
# long: --goodput --device afpacket
# about: include dataplane storage/producer_state.c tests/pipeline/relay.c tests/pipeline/relaying.py control/cli/produce.c
# needs: clients
# timeout: 240
"""impair.py - `kira produce` over UDP to kirad, two namespaces apart, through a network that is bad on purpose (relay.c).

--matrix   loss of 0, 0.1, 1, 5, 20 % x doubling of 5 % or none x 64 datagrams overtaking a quarter, or none, without
           congestion control: each record is there once, in order; sent again is what was lost and next to nothing else
--some     five corners of it, a slow link with a short queue that congestion control has to find, and one that takes
           longer for all of the input than a record has until it fails
--goodput  what loss costs on a link both ends carry easily, in one run with clean ones between; beside it without a
           gate the default congestion control, with delays of 0, 1 and 10 ms. Prints the table of client/README.md
--stall    a disk that stands still: credits do not come back, nothing is sent again and again, and all arrive after

Loss, doubling and reordering hit both directions alike, so every datagram and every ACK."""
import argparse
import itertools
import math
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h
import relaying
import standstill

DATA, PEER, KAFKA, KAFKA_PEER = "10.77.0.1/24", "10.77.0.2/24", "10.78.0.1/24", "10.78.0.2/24"
LOSSES = (0, 0.001, 0.01, 0.05, 0.2)
DOUBLED, REORDERED, DEPTH = 0.05, 0.25, 64
DATAGRAMS = 30000               # of a cell, about; --some: half
GATES = {0.001: 0.95, 0.01: 0.85, 0.05: 0.50}
# The link of --goodput: an eighth of what goes through the relay without one on two idle cores [m], so that the link
# is what limits, not who else runs there. Its queue holds a window.
LINK = {"mbit": 150, "queue": 2 << 20}
LINK_DATAGRAMS_S = LINK["mbit"] * 1e6 / 8 / 1538
ROUNDS = 3


class Bench:
    """kirad and the way to it."""

    def __init__(self, device, rng, extra=()):
        self.kcat = h.need("kcat", "kcat")
        self.kira = h.binary("kira")
        self.rng = rng
        self.ns = h.Namespaces()
        self.ns.join("kafka0", "kafka1", KAFKA, KAFKA_PEER)
        self.path = relaying.Path(self.ns, DATA if device == "afpacket" else None, PEER)
        self.kirad = h.Kirad(device=device + ":data0", netns=self.ns.server, listen="10.78.0.1:0",
                             extra=["--address", DATA, "--topic-default", "segment.bytes=33554432",
                                    "--topic-default", "retention.bytes=268435456", *extra]).start()
        self.tmp = h.temp_dir()
        self.topics = 0
        self.totals = {"lost": 0, "doubled": 0, "reordered": 0, "queue_dropped": 0}

    def lines(self, name, count, length):
        """A file of numbered lines; length(n) of each."""
        path = os.path.join(self.tmp, name)
        with open(path, "w") as f:
            for n in range(count):
                f.write(("%d " % n).ljust(length(n), "x") + "\n")
        return path

    def produce(self, path, partitions, options=(), **faults):
        """A run through the relay: what kira produce said, what the relay counted."""
        self.topics += 1
        topic = "t%d" % self.topics
        h.run([self.kira, "topic", "create", topic, "--partitions", partitions, "--bootstrap", self.kirad.bootstrap],
              netns=self.ns.client)
        self.path.start(seed=self.rng.randrange(1 << 31), **faults)
        with open(path) as f:
            code, _, err = h.run([self.kira, "produce", "--topic", topic, "--bootstrap", self.kirad.bootstrap, "--acks", "log",
                               "--transport", "udp", "--udp-address", PEER.split("/")[0], *options],
                              netns=self.ns.client, stdin_file=f, seconds=150, ok=None)
        counts = self.path.stop()
        said = err.strip().splitlines()[-1]
        h.check(code == 0, "kira produce ended with %d, %s: %s; the relay: %s" % (code, faults, err.strip()[-600:], counts))
        for way, count in counts.items():
            own = {what: count[what] for what in relaying.OWN_FAULT if count[what]}
            h.check(not own, "the relay itself did not keep up, way %s: %s" % (way, own))
            for what in self.totals:
                self.totals[what] += count[what]
        found = re.search(r"over udp, (\d+) bytes in ([\d.]+) s", said)
        h.check(found, "the closing line of kira produce: %s" % said)
        again = re.search(r", (\d+) datagrams sent again", said)
        return {"topic": topic, "said": said, "bytes": int(found.group(1)), "seconds": float(found.group(2)),
                "again": int(again.group(1)) if again else 0, "out": counts["out"], "back": counts["back"]}

    def all_there(self, topic, count, partitions):
        """Each line once, in order within its partition."""
        _, out, _ = h.run([self.kcat, "-b", self.kirad.bootstrap, "-C", "-t", topic, "-o", "beginning", "-e", "-q",
                           "-X", "check.crcs=true", "-f", "%p %s\n"], netns=self.ns.client, seconds=120)
        last, seen = [-1] * partitions, bytearray(count)
        for row in out.splitlines():
            part, number = map(int, row.split(None, 2)[:2])
            h.check(not seen[number], "line %d is there twice" % number)
            h.check(number > last[part], "partition %d: %d stands behind %d" % (part, number, last[part]))
            last[part] = number
            seen[number] = 1
        h.check(sum(seen) == count, "%d of %d lines are there" % (sum(seen), count))

    def drop(self, topic):
        h.run([self.kira, "topic", "delete", topic, "--yes", "--bootstrap", self.kirad.bootstrap], netns=self.ns.client,
              ok=None)


def cell(bench, path, count, loss, doubled, reordered, partitions):
    """One cell of the matrix; the share sent again for nothing."""
    refused = bench.kirad.count("hold_refused")
    got = bench.produce(path, partitions, ("--no-congestion-control",), loss=loss, duplicate=DOUBLED * doubled,
                        reorder=REORDERED * reordered, depth=DEPTH)
    bench.all_there(got["topic"], count, partitions)
    sent, lost, again = got["out"]["datagrams"], got["out"]["lost"], got["again"]
    h.say("loss %4.1f %% %-7s %-9s partitions %d: sent %d, lost %d, again %d, for nothing %.2f %%; doubled %d, overtaken "
          "%d; ACKs %d, lost %d; %.1f MB/s" % (
              100 * loss, "doubled" if doubled else "", "reordered" if reordered else "", partitions, sent, lost, again,
              100 * (again - lost) / sent, got["out"]["doubled"], got["out"]["reordered"], got["back"]["datagrams"],
              got["back"]["lost"], got["bytes"] / got["seconds"] / 1e6))
    for name, asked in (("lost", loss), ("doubled", doubled), ("reordered", reordered)):
        h.check(bool(got["out"][name]) == bool(asked), "asked for %s: %s, the relay counts %s" % (name, asked, got["out"]))
    if reordered:
        h.check(again - lost <= 0.05 * sent, "%d of %d sent again without a loss" % (again - lost, sent))
    else:
        h.check(again <= 1.3 * lost + 0.01 * sent, "%d sent again, lost were %d of %d" % (again, lost, sent))
    # An early batch that finds no place costs its partition a standstill: 1 % of loss nine tenths of the goodput.
    h.check(bench.kirad.count("hold_refused") == refused, "early batches were refused")
    bench.drop(got["topic"])
    return (again - lost) / sent


def varied(bench, datagrams=DATAGRAMS):
    """Lines of 8 to 1,250 bytes: batches of many records and of one. With 20 % lost the path's size may be found
    smaller than it is."""
    lengths = [bench.rng.choice((8, 60, 300, 1250)) for _ in range(997)]
    per_datagram = 1379 / (sum(lengths) / len(lengths) + 15)
    count = int(datagrams * per_datagram * 0.8)
    return bench.lines("varied", count, lambda n: lengths[n % 997]), count


def matrix(bench, cells, datagrams):
    path, count = varied(bench, datagrams)
    worst = 0
    for i, (loss, doubled, reordered) in enumerate(cells):
        worst = max(worst, cell(bench, path, count, loss, doubled, reordered, 4 if (i + i // 4) % 2 else 1))
    return count, worst


def slow_link(bench):
    """20 Mbit/s, a queue of 40 datagrams and 5 ms to either side: what the default makes of it."""
    path = bench.lines("slow", 4000, lambda n: 1300)
    got = bench.produce(path, 1, mbit=20, queue=40 * 1538, delay_us=5000)
    bench.all_there(got["topic"], 4000, 1)
    dropped = got["out"]["queue_dropped"]
    h.say("20 Mbit/s, a queue of 40, 5 ms: %.1f Mbit/s, the queue dropped %d of %d, sent again %d" % (
        8e-6 * got["bytes"] / got["seconds"], dropped, got["out"]["datagrams"], got["again"]))
    h.check(dropped > 0, "no datagram was dropped by the short queue: %s" % got["out"])
    h.check(got["again"] <= 1.3 * dropped + 0.01 * got["out"]["datagrams"] + 5,
            "%d sent again, dropped were %d" % (got["again"], dropped))


def slower_than_its_time(bench):
    """What is read takes the link longer than a record has: the tool must not read so far ahead of it."""
    path = bench.lines("slower", 5000, lambda n: 1000)
    got = bench.produce(path, 1, ("--delivery-timeout", "3"), mbit=8, queue=80 * 1538, loss=0.001)
    bench.all_there(got["topic"], 5000, 1)
    h.say("8 Mbit/s, 3 s to be delivered: %.1f MB in %.1f s" % (got["bytes"] / 1e6, got["seconds"]))
    h.check(got["seconds"] > 3, "the link was not slower than that")


# ---- Goodput -------------------------------------------------------------------------------------

def datagrams_for(loss, delay_ms):
    """About two seconds' worth under the default control: 1.2 / sqrt(loss) in flight each round trip (RFC 3649)."""
    rate = LINK_DATAGRAMS_S
    if loss:
        rate = min(rate, 1.2 / math.sqrt(loss) / max(2e-3 * delay_ms, 5e-4))
    return max(500, int(2 * rate))


class Goodput:
    """MB/s by loss, best of several runs; clean ones stand between the others."""

    def __init__(self, bench, name, rounds, delay_ms=0, options=(), link=LINK, losses=LOSSES):
        self.bench, self.delay_ms, self.options, self.link = bench, delay_ms, options, link
        rates = {loss: [] for loss in losses}
        for _ in range(rounds):
            rates[0].append(self.run(0))
            for loss in losses[1:]:
                rates[loss].append(self.run(loss))
                rates[0].append(self.run(0))
        self.best = {loss: max(rates[loss]) for loss in losses}
        for loss in losses:
            h.say("%s, loss %4.1f %%: %s MB/s" % (name, 100 * loss, " ".join("%.2f" % r for r in rates[loss])))

    def run(self, loss):
        count = datagrams_for(0 if self.options else loss, 0 if self.options else self.delay_ms)
        path = os.path.join(self.bench.tmp, "lines-%d" % count)
        if not os.path.exists(path):
            self.bench.lines("lines-%d" % count, 6 * count, lambda n: 215)    # six fill a datagram
        got = self.bench.produce(path, 1, self.options, loss=loss, delay_us=int(1000 * self.delay_ms), **self.link)
        h.check(bool(got["out"]["lost"]) == bool(loss), "asked for a loss of %g: %s" % (loss, got["out"]))
        self.bench.drop(got["topic"])
        return got["bytes"] / got["seconds"] / 1e6

    def of_clean(self, loss):
        return self.best[loss] / self.best[0]


def goodput(bench):
    none = ("--no-congestion-control",)
    ours = Goodput(bench, "cc none", ROUNDS, options=none)
    unlimited = Goodput(bench, "cc none, no link", ROUNDS, options=none, link={}, losses=(0, 0.05))
    h.check(unlimited.best[0] >= 1.5 * ours.best[0],
            "no verdict: the link of %d Mbit/s is not what limits here: without it %.1f MB/s" % (LINK["mbit"], unlimited.best[0]))
    default = [Goodput(bench, "default, %d ms" % ms, 1, delay_ms=ms) for ms in (0, 1, 10)]
    print("| loss, each way | `cc = none` | of clean | default | 1 ms each way | 10 ms each way |\n|---|---|---|---|---|---|")
    for loss in LOSSES:
        print("| %g %% | %.2f | %.1f %% | %s |" % (
            100 * loss, ours.best[loss], 100 * ours.of_clean(loss), " | ".join("%.2f" % d.best[loss] for d in default)))
    for loss, gate in GATES.items():
        h.check(ours.of_clean(loss) >= gate, "at %g %% loss %.3f of the clean goodput, wanted %.2f" % (
            100 * loss, ours.of_clean(loss), gate))
    return "of the clean goodput, " + ", ".join("%.3f at %g %%" % (ours.of_clean(loss), 100 * loss) for loss in LOSSES[1:]) \
        + "; without the link %.1f MB/s clean, %.1f at 5 %%" % (unlimited.best[0], unlimited.best[0.05])


# ---- A disk that stands still --------------------------------------------------------------------

def stall(bench):
    """The flush daemon stops, so room runs out. What was sent waits for it, what was not has no credit."""
    path, count = varied(bench)
    topic = "stall"
    h.run([bench.kira, "topic", "create", topic, "--partitions", 1, "--bootstrap", bench.kirad.bootstrap],
          netns=bench.ns.client)
    bench.path.start(seed=bench.rng.randrange(1 << 31), loss=0.01, mbit=60)
    with open(path) as f:
        tool = h.Process("produce", [bench.kira, "produce", "--topic", topic, "--bootstrap", bench.kirad.bootstrap, "--acks",
                                     "log", "--transport", "udp", "--udp-address", PEER.split("/")[0],
                                     "--no-congestion-control"], netns=bench.ns.client, stdin=f)

    def frames():
        return bench.kirad.count("frames", "rx")

    def stored():
        return bench.kirad.count("udp_records", "store")
    h.until(stored, 30, "the first records are stored")
    flush = standstill.Thread(bench.kirad.pid, "kira-flush")
    flush.stop()
    quiet_since, before = time.monotonic(), -1

    def quiet():
        nonlocal quiet_since, before
        if stored() != before:
            quiet_since, before = time.monotonic(), stored()
        return time.monotonic() - quiet_since > 1
    h.until(quiet, 30, "nothing more is stored without the flush daemon")
    h.check(before < count, "all %d of %d lines were stored without the flush daemon" % (before, count))
    at = frames()
    time.sleep(4)    # what is looked at is that nothing happens
    meanwhile = frames() - at
    h.check(stored() == before and tool.poll() is None, "it went on without the flush daemon")
    h.check(meanwhile <= 40, "%d datagrams in 4 s to a broker that gives no credit" % meanwhile)
    flush.go_on()
    code = tool.wait(60)
    said = tool.output().strip().splitlines()[-1]
    h.check(code == 0, "kira produce ended with %d: %s" % (code, said))
    counts = bench.path.stop()
    bench.all_there(topic, count, 1)
    sent, lost = counts["out"]["datagrams"], counts["out"]["lost"]
    again = int(re.search(r", (\d+) datagrams sent again", said).group(1))
    h.check(lost > 0 and again <= 1.3 * lost + 0.01 * sent, "%d sent again, lost were %d of %d" % (again, lost, sent))
    return "stored %d of %d, then %d datagrams in 4 s; sent again %d, lost %d of %d" % (
        before, count, meanwhile, again, lost, sent)


def body():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--device", choices=("afpacket", "afxdp"), default="afpacket")
    what = args.add_mutually_exclusive_group(required=True)
    for mode in ("matrix", "some", "goodput", "stall"):
        what.add_argument("--" + mode, action="store_true")
    args = args.parse_args()
    bench = Bench(args.device, h.seeded(), ("--topic-default", "segment.bytes=1048576") if args.stall else ())
    if args.goodput:
        result = goodput(bench)
    elif args.stall:
        result = stall(bench)
    else:
        cells = list(itertools.product(LOSSES, (False, True), (False, True)))
        if args.some:
            cells = [(0, False, False), (0, True, True), (0.01, False, False), (0.05, True, True), (0.2, False, True)]
        count, worst = matrix(bench, cells, DATAGRAMS // 2 if args.some else DATAGRAMS)
        if args.some:
            slow_link(bench)
            slower_than_its_time(bench)
        t = bench.totals
        h.check(t["lost"] and t["doubled"] and t["reordered"] and (args.matrix or t["queue_dropped"]),
                "a kind of fault never happened: %s" % t)
        result = "%d cells of %d records, lost 0, doubled 0, in order; for nothing at most %.2f %% of sent; datagrams and " \
            "ACKs lost %d, doubled %d, overtaken %d, dropped by a queue %d" % (
                len(cells), count, 100 * worst, t["lost"], t["doubled"], t["reordered"], t["queue_dropped"])
    h.check(bench.kirad.lives(), "kirad ended")
    h.say("drops: %s" % (bench.kirad.drops() or "none"))
    bench.kirad.stop()
    h.say("result: %s: %s" % (args.device, result))


h.main(body)
