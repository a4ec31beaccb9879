#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --java 0 --librdkafka 3 --seconds 16 --faults 3 --broker-kills 1
# long: --kafka 3.9.1
# long: --kafka 4.1.0
# about: control storage tests/pipeline/harness.py tests/compat/java_tools.py
# needs: clients
# timeout: 300
"""mixed_group.py - one group of Java's and librdkafka's consumers over 12 partitions: for two minutes members are killed and
added under load, kirad is killed and comes back. Every acked record is consumed at least once, committed offsets never go
back, and at the end all members share the partitions and the group has no lag. Members print a record before they commit it."""
import argparse
import os
import signal
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "pipeline")]
import cells
import harness as h
from java_tools import Tools, events

PARTITIONS, SESSION_MS, HEARTBEAT_MS = 12, 6000, 500


def member(bootstrap):
    """librdkafka's consumer in a process of its own."""
    import confluent_kafka
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    c = confluent_kafka.Consumer({
        "bootstrap.servers": bootstrap, "group.id": "g", "auto.offset.reset": "earliest", "session.timeout.ms": SESSION_MS,
        "heartbeat.interval.ms": HEARTBEAT_MS, "auto.commit.interval.ms": 200, "enable.auto.offset.store": False,
        "partition.assignment.strategy": "range"})
    c.subscribe(["t"])
    while not stop:
        for m in c.consume(500, 0.1):
            if not m.error():
                print("record %s" % m.value().decode(), flush=True)
                c.store_offsets(m)
    c.close()


class Member:
    def __init__(self, kind, process):
        self.kind, self.process = kind, process

    def values(self):
        text = self.process.output()
        if self.kind == "librdkafka":
            return {x[7:] for x in text[:text.rfind("\n") + 1].splitlines() if x.startswith("record ")}
        return {e["value"] for e in events(text, "record_data")}


class Load(threading.Thread):
    """Records of an idempotent producer, some 2,000 a second, over all partitions."""

    def __init__(self, confluent, bootstrap):
        super().__init__(daemon=True)
        self.producer = confluent.Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5,
                                            "message.timeout.ms": 0, "log_level": 2})
        self.acked, self.failed, self.stop, self.n = set(), [], False, 0

    def run(self):
        while not self.stop:
            self.burst(50)
            self.producer.poll(0)
            time.sleep(0.02)

    def burst(self, count):
        for self.n in range(self.n + 1, self.n + 1 + count):
            self.producer.produce("t", b"%d" % self.n, partition=self.n % PARTITIONS, on_delivery=self.delivered)

    def delivered(self, error, message):
        if error:
            self.failed.append(str(error))
        else:
            self.acked.add(message.value().decode())


class Watch(threading.Thread):
    """The group's committed offsets, again and again."""

    def __init__(self, confluent, bootstrap):
        super().__init__(daemon=True)
        self.confluent, self.stop, self.looks, self.back, self.last = confluent, False, 0, [], {}
        self.consumer = confluent.Consumer({"bootstrap.servers": bootstrap, "group.id": "g", "enable.auto.commit": False,
                                            "log_level": 2})

    def look(self):
        parts = [self.confluent.TopicPartition("t", p) for p in range(PARTITIONS)]
        for tp in self.consumer.committed(parts, timeout=2):
            if tp.error is None:
                if tp.offset < self.last.get(tp.partition, -1001):
                    self.back.append((tp.partition, self.last[tp.partition], tp.offset))
                self.last[tp.partition] = tp.offset
        self.looks += 1

    def run(self):
        while not self.stop:
            try:
                self.look()
            except self.confluent.KafkaException:
                pass                # kirad is away
            time.sleep(0.1)


class Group:
    def __init__(self, kirad, tools, rng):
        self.kirad, self.tools, self.rng, self.all, self.live = kirad, tools, rng, [], []
        if tools:
            self.config = os.path.join(h.temp_dir(), "consumer")
            with open(self.config, "w") as f:
                f.write("heartbeat.interval.ms=%d\n" % HEARTBEAT_MS)

    def add(self, kind):
        if kind == "Java":
            process = self.tools.start("VerifiableConsumer", "--bootstrap-server", self.kirad.bootstrap, "--topic", "t",
                                       "--group-id", "g", "--reset-policy", "earliest", "--verbose", "--session-timeout",
                                       str(SESSION_MS), "--consumer.config", self.config)
        else:
            process = h.Process("librdkafka", ["/usr/bin/python3", os.path.abspath(__file__), "member", self.kirad.bootstrap])
        self.all.append(Member(kind, process))
        self.live.append(self.all[-1])

    def replace(self):
        """One is killed, one of its kind comes."""
        victim = self.rng.choice(self.live)
        h.check(victim.process.poll() is None, "a member of %s ended with %s" % (victim.kind, victim.process.poll()))
        victim.process.kill()
        self.live.remove(victim)
        self.add(victim.kind)

    def consumed(self):
        return set().union(*(m.values() for m in self.all))


def run(args, tools, rng):
    confluent = h.need_module("confluent_kafka", "python3-confluent-kafka")
    kirad = h.Kirad(extra=["--num-partitions", str(PARTITIONS), "--group-initial-rebalance-delay-ms", "0"]).start()
    load, watch = Load(confluent, kirad.bootstrap), Watch(confluent, kirad.bootstrap)
    load.burst(PARTITIONS)
    h.check(load.producer.flush(120) == 0, "the first records are not acked")
    load.start()
    watch.start()
    group = Group(kirad, tools, rng)
    for kind in ["Java"] * args.java + ["librdkafka"] * args.librdkafka:
        group.add(kind)
    h.until(lambda: all(m.values() for m in group.live), 60, "every member gets records")
    faults = ["broker"] * args.broker_kills + ["member"] * args.faults
    rng.shuffle(faults)
    begun = time.monotonic()
    for i, fault in enumerate(faults):
        at = begun + args.seconds * (i + rng.uniform(0.2, 0.8)) / len(faults)
        h.until(lambda: time.monotonic() >= at, args.seconds, "time passes")
        if fault == "broker":
            kirad.kill9()
            kirad.start()
        else:
            group.replace()
    load.stop = True
    load.join()
    h.check(load.producer.flush(120) == 0 and not load.failed, "not delivered: %s" % load.failed[:1])
    h.until(lambda: load.acked <= group.consumed(), 60, "every acked record is consumed")
    before = {m: len(m.values()) for m in group.live}

    def shared():
        load.burst(10 * PARTITIONS)
        load.producer.flush(10)
        return all(len(m.values()) > n for m, n in before.items())
    h.until(shared, 40, "all %d members share the partitions at the end" % len(group.live))
    h.until(lambda: load.acked <= group.consumed(), 30, "and what came last is consumed")
    for m in group.live:
        m.process.term(30)
    watch.stop = True
    watch.join()
    watch.look()
    h.check(not watch.back, "committed offsets went back: (partition, from, to) %s" % watch.back[:5])
    ends = {p: watch.consumer.get_watermark_offsets(confluent.TopicPartition("t", p), timeout=10)[1] for p in range(PARTITIONS)}
    h.check(sum(ends.values()) == len(load.acked), "%d records are stored, %d acked" % (sum(ends.values()), len(load.acked)))
    h.check(watch.last == ends, "the group is not at the end: %s of %s" % (watch.last, ends))
    kirad.stop()
    return len(load.acked), watch.looks


def body():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kafka", default="3.9.1", help="release of the Java consumers")
    parser.add_argument("--java", type=int, default=3, help="members")
    parser.add_argument("--librdkafka", type=int, default=2, help="members")
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--faults", type=int, default=16, help="members killed and replaced")
    parser.add_argument("--broker-kills", type=int, default=2)
    args = parser.parse_args()
    h.need_module("confluent_kafka", "python3-confluent-kafka")
    clients = [cells.Client("Java " + args.kafka, cells.MIXED, cells.COMMITS),
               cells.Client(cells.CONFLUENT, cells.MIXED, cells.KILLED)] if args.java else []
    tools = Tools(args.kafka) if args.java else None
    acked, looks = run(args, tools, h.seeded())
    for c in clients:
        c.passed(*c.features)
    h.say("result: %d members of Java %s and %d of librdkafka, %d killed and replaced, kirad killed %d times in %d s: %d records "
          "all consumed, committed offsets looked at %d times" % (args.java, args.kafka, args.librdkafka, args.faults,
                                                                args.broker_kills, args.seconds, acked, looks))


if len(sys.argv) > 1 and sys.argv[1] == "member":
    member(sys.argv[2])
else:
    h.main(body)
