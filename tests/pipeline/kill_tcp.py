#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --kills 20
# long: --minutes {minutes}
# needs: clients
# timeout: 420
"""kill_tcp.py - kill -9 of kirad under load over TCP, again and again; nothing acked is lost.

An idempotent librdkafka producer writes numbered records into several partitions of a topic whose
acks=all means level `log`. At random moments, while acks are arriving (one within the last 100 ms) and
records are in flight, kirad is killed and started again on its directory. At the end everything is
read back: every acked record is at its offset, none is there twice, per partition the numbers rise and
the offsets are dense from 0."""
import argparse
import os
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h

PARTITIONS = 4
OUTSTANDING = 4000      # bounds what is in flight, and so how fast the load runs


class Load:
    """Produces numbered records; knows which were acked, where, and when the last ack came."""

    def __init__(self, confluent, bootstrap, topic):
        self.topic = topic
        self.next, self.out = 0, 0
        self.acked = {}             # number -> (partition, offset)
        self.failed = []
        self.last_ack = 0.0
        self.producer = confluent.Producer({
            "bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 2,
            "batch.num.messages": 200, "message.timeout.ms": 120000, "reconnect.backoff.max.ms": 200,
            "queue.buffering.max.messages": 200000, "socket.timeout.ms": 10000, "log_level": 0})

    def _done(self, err, msg):
        self.out -= 1
        number = struct.unpack(">Q", msg.value()[:8])[0]
        if err is not None:
            self.failed.append((number, str(err)))
        else:
            self.acked[number] = (msg.partition(), msg.offset())
            self.last_ack = time.monotonic()

    def pump(self, until):
        """Produce until until() is true."""
        while not until():
            if self.out < OUTSTANDING:
                n = self.next
                self.producer.produce(self.topic, struct.pack(">Q", n) + b"x" * (n % 200), partition=n % PARTITIONS,
                                      on_delivery=self._done)
                self.next += 1
                self.out += 1
                if n % 64 == 0:
                    self.producer.poll(0)
            else:
                self.producer.poll(0.002)

    def finish(self, seconds):
        end = time.monotonic() + seconds
        while self.out and time.monotonic() < end:
            self.producer.poll(0.1)
        h.check(self.out == 0, "%d records still undelivered after %d s" % (self.out, seconds))


def read_back(confluent, bootstrap, topic):
    """[(partition, offset, number)] of everything up to the watermarks, and the watermarks."""
    consumer = confluent.Consumer({"bootstrap.servers": bootstrap, "group.id": "none", "check.crcs": True,
                                   "enable.auto.commit": False, "auto.offset.reset": "earliest",
                                   "enable.partition.eof": True})
    parts = [confluent.TopicPartition(topic, p, 0) for p in range(PARTITIONS)]
    marks = {p.partition: consumer.get_watermark_offsets(p, timeout=20) for p in parts}
    consumer.assign(parts)
    found, ended = [], set()
    end = time.monotonic() + 120
    while len(ended) < PARTITIONS:
        h.check(time.monotonic() < end, "reading back took over 120 s")
        for m in consumer.consume(5000, timeout=1):
            if m.error():
                h.check(m.error().code() == confluent.KafkaError._PARTITION_EOF, "consumer: %s" % m.error())
                ended.add(m.partition())
            else:
                found.append((m.partition(), m.offset(), struct.unpack(">Q", m.value()[:8])[0]))
    consumer.close()
    return found, marks


def verify(load, found, marks):
    places = {}
    per_part = {p: [] for p in range(PARTITIONS)}
    for part, offset, number in found:
        places.setdefault(number, []).append((part, offset))
        per_part[part].append((offset, number))
    twice = [n for n, at in places.items() if len(at) > 1]
    h.check(not twice, "%d records are there twice, such as %d at %s" % (
        len(twice), twice[0] if twice else -1, places[twice[0]] if twice else None))
    missing = [n for n in load.acked if n not in places]
    h.check(not missing, "%d acked records are missing, such as %d acked at %s" % (
        len(missing), missing[0] if missing else -1, load.acked[missing[0]] if missing else None))
    unknown = 0
    for n, (part, offset) in load.acked.items():
        if offset < 0:                  # DUPLICATE_SEQUENCE_NUMBER: success, offset unknown
            unknown += 1
            continue
        h.check((part, offset) == places[n][0], "record %d was acked at %s and lies at %s" % (
            n, (part, offset), places[n][0]))
    for part, rows in per_part.items():
        offsets = [o for o, _ in rows]
        h.check(offsets == list(range(len(rows))), "partition %d: offsets are not dense from 0" % part)
        h.check(marks[part] == (0, len(rows)), "partition %d: watermarks %s, %d records" % (part, marks[part], len(rows)))
        numbers = [n for _, n in rows]
        h.check(numbers == sorted(numbers), "partition %d: records out of their order" % part)
    return unknown


def body():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--kills", type=int, default=20)
    args.add_argument("--minutes", type=float, help="instead of a number of kills")
    args = args.parse_args()
    confluent = h.need_module("confluent_kafka", "python3-confluent-kafka")
    admin = h.need_module("confluent_kafka.admin", "python3-confluent-kafka").admin
    rng = h.seeded()
    kirad = h.Kirad().start()
    topic = "kill-tcp"
    client = admin.AdminClient({"bootstrap.servers": kirad.bootstrap, "log_level": 0})    # must outlive its futures
    made = client.create_topics([admin.NewTopic(
        topic, PARTITIONS, 1, config={"kira.ack.all": "log", "segment.bytes": "4194304"})])
    made[topic].result(20)
    load = Load(confluent, kirad.bootstrap, topic)
    stop = time.monotonic() + args.minutes * 60 if args.minutes else None
    kills = 0
    while (time.monotonic() < stop) if stop else (kills < args.kills):
        # Only a kill that hits fresh acks and records in flight counts.
        at_least = time.monotonic() + rng.uniform(0.2, 1.2)
        before, give_up = load.last_ack, time.monotonic() + 60

        def ripe():
            now = time.monotonic()
            h.check(now < give_up, "no ack for 60 s after a restart")
            return now >= at_least and load.last_ack > before and now - load.last_ack < 0.1 and load.out > 0
        load.pump(ripe)
        acked, out = len(load.acked), load.out
        kirad.kill9()
        kills += 1
        kirad.start()
        h.say("kill %d: %d acked, %d in flight; back in service" % (kills, acked, out))
    load.finish(120)
    h.check(not load.failed, "%d records failed, first: %s" % (len(load.failed), load.failed[:1]))
    kirad.stop()            # and once cleanly: the clean stop must keep it all, too
    kirad.start()
    found, marks = read_back(confluent, kirad.bootstrap, topic)
    unknown = verify(load, found, marks)
    kirad.stop()
    h.say("result: kills %d, records acked %d, read back %d, acked without offset %d, missing 0, twice 0" % (
        kills, len(load.acked), len(found), unknown))


h.main(body)
