#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --rounds 6
# long: --rounds 150
# about: control storage tests/pipeline/harness.py tests/pipeline/kafka_wire.py
# needs: clients
# timeout: 180
"""grow.py - topics get more partitions under load: by both Python admin clients and by hand.

A producer and a group of consumers that run all the while come to use the new partitions, and nothing is lost. Then
kirad is killed with -9 around CreatePartitions: what was answered is there after the start, else the old number or
the new one; every partition takes records, and a topic can grow again."""
import argparse
import os
import random
import struct
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "pipeline")]
import cells
import harness as h
import kafka_wire as k

CREATE_PARTITIONS = 37
k.FLEXIBLE[CREATE_PARTITIONS] = 2


class Load(threading.Thread):
    """Produces until it is told to stop; which partitions took what."""

    def __init__(self, ck, bootstrap, topic):
        super().__init__(daemon=True)
        self.producer = ck.Producer({"bootstrap.servers": bootstrap, "topic.metadata.refresh.interval.ms": 200,
                                     "enable.idempotence": True, "linger.ms": 2})
        self.topic, self.over, self.acked, self.failed, self.n = topic, False, {}, [], 0

    def delivered(self, error, message):
        if error:
            self.failed.append(str(error))
        else:
            self.acked.setdefault(message.partition(), []).append(message.value())

    def run(self):
        while not self.over:
            for _ in range(20):
                self.n += 1
                self.producer.produce(self.topic, b"value %d" % self.n, b"key %d" % self.n, on_delivery=self.delivered)
            self.producer.poll(0.01)
        self.producer.flush(30)


class Group(threading.Thread):
    """Two consumers of one group, which look for new partitions every 300 ms."""

    def __init__(self, ck, bootstrap, topic):
        super().__init__(daemon=True)
        self.consumers = [ck.Consumer({"bootstrap.servers": bootstrap, "group.id": "g", "auto.offset.reset": "earliest",
                                       "topic.metadata.refresh.interval.ms": 300}) for _ in range(2)]
        self.over, self.got = False, {}
        for c in self.consumers:
            c.subscribe([topic])

    def run(self):
        while not self.over:
            for c in self.consumers:
                for m in c.consume(500, timeout=0.05):
                    if not m.error():
                        self.got.setdefault(m.partition(), set()).add(m.value())
        for c in self.consumers:
            c.close()


def under_load(ck, kafka, kirad):
    admin = ck.admin.AdminClient({"bootstrap.servers": kirad.bootstrap})
    admin.create_topics([ck.admin.NewTopic("t", 1, 1)])["t"].result(20)
    load, group = Load(ck, kirad.bootstrap, "t"), Group(ck, kirad.bootstrap, "t")
    load.start()
    group.start()
    h.until(lambda: len(load.acked.get(0, [])) > 100, 20, "the load runs")
    admin.create_partitions([ck.admin.NewPartitions("t", 3)])["t"].result(20)
    h.until(lambda: len(load.acked) == 3, 20, "the producer uses 3 partitions")
    old = kafka.KafkaAdminClient(bootstrap_servers=kirad.bootstrap, request_timeout_ms=20000)
    old.create_partitions({"t": kafka.admin.NewPartitions(6)}, timeout_ms=20000)
    old.close()
    h.until(lambda: len(load.acked) == 6, 20, "the producer uses 6 partitions")
    try:
        admin.create_partitions([ck.admin.NewPartitions("t", 6)])["t"].result(20)
        raise h.Failed("6 partitions were made 6")
    except ck.KafkaException as e:
        h.check(e.args[0].code() == ck.KafkaError.INVALID_PARTITIONS, "6 made 6: %s" % e)
    load.over = True
    load.join(40)
    h.check(not load.failed, "a record failed: %s" % load.failed[:1])
    h.until(lambda: all(set(v) <= group.got.get(p, set()) for p, v in load.acked.items()), 30,
            "the group has read all of all 6 partitions")
    group.over = True
    group.join(20)
    h.say("1 to 3 to 6 partitions under load: %d records, all read by the group" % sum(map(len, load.acked.values())))


def partitions_of(kirad, topic):
    """By Metadata version 1."""
    with k.Connection(kirad.host, kirad.port) as c:
        got = c.ask(k.request(k.METADATA, 1, k.i32(1) + k.string(topic)))
    at = 4 + 4 + 4                                     # correlation, one broker, its id
    at += 2 + struct.unpack_from(">h", got, at)[0] + 4 + 2 + 4 + 4    # host, port, no rack, controller, one topic
    h.check(struct.unpack_from(">h", got, at)[0] == 0, "Metadata of %s: error" % topic)
    at += 2 + 2 + len(topic) + 1
    return struct.unpack_from(">i", got, at)[0]


def grow_and_die(kirad, topic, count, delay):
    """Asks for `count` partitions, kills kirad after `delay` seconds; was it answered?"""
    body = k.uvarint(2) + k.cstring(topic) + k.i32(count) + b"\0\0" + k.i32(10000) + b"\0\0"
    with k.Connection(kirad.host, kirad.port) as c:
        c.send(k.request(CREATE_PARTITIONS, 3, body))
        time.sleep(delay)
        kirad.kill9()
        got = c.answer()
    if got is None:
        return False
    at = 4 + 1 + 4 + 1 + 1 + len(topic)
    h.check(struct.unpack_from(">h", got, at)[0] == 0, "CreatePartitions: %r" % got)
    return True


def killed(kirad, rounds, rng):
    answered, grown = 0, 0
    with k.Connection(kirad.host, kirad.port) as c:
        c.ask(k.request(k.CREATE_TOPICS, 2, k.i32(1) + k.string("k") + k.i32(1) + k.i16(1) + k.i32(0) + k.i32(0)
                        + k.i32(10000) + b"\0"))
    have, longest, n = 1, 0.02, 0
    # Until a kill came before the answer and one after it: how long an answer takes is the machine's.
    while n < rounds or (answered in (0, n) and n < 5 * rounds):
        delay = rng.uniform(0, longest) if n % 3 else 0.08
        told = grow_and_die(kirad, "k", have + 1 + n % 11, delay)
        kirad.start()
        now = partitions_of(kirad, "k")
        h.check(now == have + 1 + n % 11 if told else now in (have, have + 1 + n % 11),
                "round %d: %d partitions after %d were %s" % (n, now, have + 1 + n % 11, "answered" if told else "asked for"))
        n += 1
        longest = longest / 2 if told else min(longest * 2, 0.02)
        answered += told
        grown += now > have
        have = now
        with k.Connection(kirad.host, kirad.port) as c:
            for p in {0, have - 1, rng.randrange(have)}:
                got = c.ask(k.request(k.PRODUCE, 3, k.produce_body("k", p, k.batch([b"round %d" % n]))))
                error = struct.unpack_from(">h", got, 4 + 4 + 2 + 1 + 4 + 4)[0]
                h.check(error == 0, "round %d: a batch for partition %d of %d: error %d" % (n, p, have, error))
    h.check(answered > 0 and answered < n, "of %d kills %d came after the answer, none of the other kind" % (n, answered))
    kirad.stop()
    h.run([h.binary("kira"), "check", kirad.data_dir])
    return "%d kills around CreatePartitions, %d after its answer, %d grew the topic" % (n, answered, grown)


def body():
    a = argparse.ArgumentParser()
    a.add_argument("--rounds", type=int, default=6)
    a.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    o = a.parse_args()
    ck = h.need_module("confluent_kafka", "python3-confluent-kafka")
    h.need_module("confluent_kafka.admin", "python3-confluent-kafka")
    kafka = h.need_module("kafka", "python3-kafka")
    h.need_module("kafka.admin", "python3-kafka")
    print("seed %d" % o.seed)
    clients = [cells.Client(name, cells.PARTITIONS) for name in (cells.CONFLUENT, cells.PYTHON)]
    kirad = h.Kirad().start()
    under_load(ck, kafka, kirad)
    for client in clients:
        client.passed(cells.PARTITIONS)
    h.say("result: 6 partitions under load; " + killed(kirad, o.rounds, random.Random(o.seed)))


h.main(body)
