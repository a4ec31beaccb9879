#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --kills 40
# long: 10 x --kills 100 --seed {seed}
# long: --kills 100 --udp --seed {seed}
# about: include storage dataplane control tests/sim/sim_check_rules.c tests/crash
# timeout: 400
"""kill_loop.py - kirad is killed at random moments under load, again and again; the history of all its runs holds.

Three topics: consumers of one see what is in the log, of one what is on disk, one is rewritten with LZ4; into each
write idempotent and plain producers of our own, libkira and librdkafka, readers follow, some go back (kill_load). kirad
gets SIGKILL or SIGABRT while acks arrive and units are in flight; while it starts and recovers; a clean
stop now and then; SIGSTOP for 5 s. At the end sim_check judges what all of them wrote down, and the data
directory: acks at `log` and `disk` are kept, nothing is there twice, (epoch, offset) names one unit.
With --udp kirad sits behind afpacket in a namespace, and libkira sends datagrams (needs root)."""
import argparse
import os
import re
import resource
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "pipeline"))
import harness as h
from kill_history import PARTITIONS, PROGRESS, History, Load, now_ms

STOP_SECONDS = 5
RESTART_S, RESTART_S_PER_GIB, SLACK = 1.0, 1.0, 5       # a busy machine may take SLACK times as long


class Faults:
    """What is done to kirad, and how often; the driver's part of the history."""

    def __init__(self, rng, kirad, loads):
        self.rng, self.kirad, self.loads = rng, kirad, loads
        self.history = History()
        self.history.told("run", 1)
        self.history.told("ready")
        self.count = dict.fromkeys(("kill", "abort", "in start", "clean stop", "pause"), 0)
        self.restarts = []
        self.rewritten = 0          # segments, by kirads that are gone

    def load_is_on(self, at_least):
        """Until acks have come for `at_least` seconds since now, the last within 100 ms, with more in flight."""
        begun, give_up = now_ms(), time.monotonic() + 60
        while True:
            for load in self.loads:
                load.must_live()
            h.check(self.kirad.lives(), "kirad ended by itself, exit %s" % self.kirad.process.poll())
            now = now_ms()
            fresh = [now - load.at("last_ack_ms") < 100 and load.at("last_ack_ms") >= begun and load.at("in_flight") > 0
                     for load in self.loads]
            if now - begun >= at_least * 1000 and all(fresh):
                return
            h.check(time.monotonic() < give_up, "no acks for 60 s after a restart: %s, %s" % (
                fresh, [{name: load.at(name) for name in PROGRESS} for load in self.loads]))
            time.sleep(0.005)       # a look every 5 ms: nothing announces an ack to this process

    def look(self):
        self.rewritten += self.kirad.count("rewrite_segments")

    def end(self, sig):
        self.kirad.process.popen.send_signal(sig)
        self.kirad.process.wait(60)      # of a disk that stands still for a while it cannot let go
        self.history.told("kill")

    def start(self):
        self.history.told("run", 1 + self.kirad.starts)
        begun = time.monotonic()
        self.kirad.start()
        self.restarts.append(time.monotonic() - begun)
        self.history.told("ready")

    def start_and_die(self):
        """A start that does not get far: killed at a moment of it, or soon after it."""
        self.history.told("run", 1 + self.kirad.starts)
        within = sorted(self.restarts)[len(self.restarts) // 2] if self.restarts else 0.5
        process = self.kirad.spawn()
        time.sleep(self.rng.uniform(0.3, 1.1) * within)     # the moment is the point
        h.check(process.poll() is None, "kirad ended by itself in a start, exit %s" % process.poll())
        if "\nready kafka=" not in "\n" + process.output():
            self.count["in start"] += 1
        self.end(self.rng.choice((signal.SIGKILL, signal.SIGABRT)))

    def pause(self):
        """Stopped as a whole, and going on: leases and time-outs of others may have passed, promises have not."""
        self.load_is_on(0.1)
        self.history.told("pause", STOP_SECONDS * 1000)
        self.kirad.process.popen.send_signal(signal.SIGSTOP)
        time.sleep(STOP_SECONDS)
        self.kirad.process.popen.send_signal(signal.SIGCONT)
        self.count["pause"] += 1
        self.load_is_on(0)

    def one(self, fault):
        """One fault under load, and a start after it; returns how many kills it was."""
        self.load_is_on(self.rng.uniform(0, 0.6))
        kills = 1
        self.look()
        if fault == "clean stop":
            self.kirad.stop()
            self.history.told("stop")
            kills = 0
        else:
            self.end(signal.SIGABRT if fault == "abort" else signal.SIGKILL)
        if fault == "in start":
            before = self.count[fault]
            while self.count[fault] == before:
                self.start_and_die()
                kills += 1
        else:
            self.count[fault] += 1
        self.start()
        return kills


def plan(rng, kills):
    """Faults that make about as many kills, each kind among them."""
    faults = []
    while sum({"clean stop": 0, "in start": 2}.get(f, 1) for f in faults) < kills:
        faults.append(rng.choices(("kill", "abort", "clean stop", "in start"), (64, 14, 4, 18))[0])
    for kind in ("kill", "abort", "clean stop", "in start"):
        if kind not in faults:
            faults.insert(rng.randrange(len(faults) + 1), kind)
    return faults


def body():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--kills", type=int, default=30)
    args.add_argument("--seed", type=int)
    args.add_argument("--udp", action="store_true")
    args = args.parse_args()
    if args.seed is not None:
        os.environ["KIRA_SEED"] = str(args.seed)
    rng = h.seeded()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))        # SIGABRT leaves no files
    netns, udp, more = None, None, {}
    if args.udp:
        ns = h.Namespaces()
        ns.join("kafka0", "kafka1", "10.78.0.1/24", "10.78.0.2/24")
        ns.join("data0", "data1", "10.77.0.1/24", "10.77.0.2/24")
        netns, udp = ns.client, "10.77.0.2"
        more = dict(device="afpacket:data0", netns=ns.server, listen="10.78.0.1:0", extra=["--address", "10.77.0.1/24"])
    extra = more.pop("extra", []) + ["--rewrite-after-ms", "50"]
    kirad = h.Kirad(extra=extra, **more).start()
    loads = [Load(kirad, "kill-" + level, level, rng.randrange(1 << 31), netns, udp) for level in ("log", "disk")]
    loads.append(Load(kirad, "kill-lz4", "log", rng.randrange(1 << 31), netns, udp, ["compression.type=lz4"], (2, 0, 1, 0),
                      2 * PARTITIONS))
    faults = Faults(rng, kirad, loads)
    todo, kills, told = plan(rng, args.kills), 0, 0
    pause_at = set(rng.sample(range(len(todo)), 1 + args.kills // 100))
    for n, fault in enumerate(todo):
        if n in pause_at:
            faults.pause()
        kills += faults.one(fault)
        if kills >= told + 10:
            told = kills
            h.say("%d kills; acked %s" % (kills, [load.at("acked") for load in loads]))
    # Its thread runs when nobody else wants to: on a busy machine that takes a while.
    h.until(lambda: faults.rewritten + kirad.count("rewrite_segments") > 0, 120, "a segment is rewritten")
    for load in loads:
        load.finish()
    faults.look()
    faults.end(signal.SIGKILL)      # what is read now was recovered, not remembered
    faults.start()
    for load in loads:
        load.final()
    kirad.stop()
    faults.history.told("stop")
    said = [load.judge(faults.history) for load in loads]
    times = sorted(faults.restarts)
    p99 = times[min(len(times) - 1, int(len(times) * 0.99))]
    # The longest of a hundred is the machine's as much as kirad's: it is told, the median is held.
    h.check(times[len(times) // 2] <= SLACK * RESTART_S, "a restart takes %.2f s (median), %d x %.0f s is the limit" % (
        times[len(times) // 2], SLACK, RESTART_S))
    h.check(all(faults.count.values()), "a fault that never fired: %s" % faults.count)
    h.say("result: %d kills (%s); restart p50 %.2f s, p99 %.2f s, longest %.2f s, against %.0f s + %.0f s/GiB; %s; sent again %d; "
          "segments rewritten %d; 0 violations%s" % (
              kills + 1, ", ".join("%s %d" % pair for pair in faults.count.items()), times[len(times) // 2], p99, times[-1],
              RESTART_S, RESTART_S_PER_GIB,
              "; ".join("%s: %s, %s" % (load.topic, re.search(r"sent.*", a).group(0), b.split(",")[0])
                        for load, (a, b) in zip(loads, said)),
              sum(load.at("again") for load in loads), faults.rewritten, ", libkira over UDP" if udp else ""))


h.main(body)
