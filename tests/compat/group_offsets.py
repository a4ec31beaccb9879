#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# about: control
# needs: clients
# timeout: 240
"""group_offsets.py - what real clients commit is there after kill -9, and `kira group` tells it.

python3-confluent-kafka, python3-kafka 2.0.2 and kcat -G each read a part of a topic and commit it, in a group of their own,
while others commit all the time; kirad is killed. Then the clients themselves, and `kira group describe` with its lag,
say the same as before. reset, list and delete do what they say; a group that has members refuses both."""
import os
import re
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "pipeline")]
import cells
import harness as h

RECORDS = 300      # of each of two partitions


def kira(kirad, *words, ok=(0,)):
    return h.run([h.binary("kira"), "group"] + list(words) + ["-b", kirad.bootstrap], ok=ok)


def described(kirad, group):
    """{partition: (committed, end, lag)} of topic t."""
    _, out, _ = kira(kirad, "describe", group)
    rows = [l.split() for l in out.splitlines() if re.match(r"  t +\d", l)]
    return {int(r[1]): tuple(None if v == "-" else int(v) for v in r[2:5]) for r in rows}


class Load(threading.Thread):
    """A confluent consumer that commits as fast as it is answered, over all starts of kirad."""

    def __init__(self, confluent, kirad):
        super().__init__(daemon=True)
        self.confluent, self.stop, self.acked, self.wrong = confluent, False, 0, None
        self.consumer = confluent.Consumer({"bootstrap.servers": kirad.bootstrap, "group.id": "load",
                                            "enable.auto.commit": False, "session.timeout.ms": 6000})

    def run(self):
        offset = 0
        while not self.stop:
            offset += 1
            try:
                self.consumer.commit(offsets=[self.confluent.TopicPartition("t", 0, offset)], asynchronous=False)
                self.acked = offset
            except self.confluent.KafkaException as e:
                if not e.args[0].retriable() and e.args[0].code() >= 0:
                    self.wrong = e
                time.sleep(0.05)
        self.consumer.close()


def by_confluent(confluent, kirad):
    c = confluent.Consumer({"bootstrap.servers": kirad.bootstrap, "group.id": "confluent", "enable.auto.commit": False,
                            "auto.offset.reset": "earliest"})
    tp = confluent.TopicPartition
    c.assign([tp("t", 0, 0), tp("t", 1, 0)])
    seen = {0: 0, 1: 0}
    while min(seen.values()) < 40:
        m = c.poll(10)
        h.check(m is not None and not m.error(), "confluent reads nothing: %s" % (m and m.error()))
        seen[m.partition()] = m.offset() + 1
    c.commit(offsets=[tp("t", p, o) for p, o in seen.items()], asynchronous=False)
    h.check({x.partition: x.offset for x in c.committed([tp("t", 0), tp("t", 1)], 10)} == seen, "confluent: other offsets")
    c.close()
    return seen


def by_kafka_python(kafka, kirad):
    c = kafka.KafkaConsumer(bootstrap_servers=kirad.bootstrap, group_id="kafka-python", enable_auto_commit=False,
                            auto_offset_reset="earliest", max_poll_records=25)
    parts = [kafka.TopicPartition("t", p) for p in (0, 1)]
    c.assign(parts)
    while not all(c.position(p) >= 25 for p in parts):
        c.poll(1000)
    seen = {p.partition: c.position(p) for p in parts}
    meta = kafka.structs.OffsetAndMetadata
    c.commit({p: meta(seen[p.partition], "left off h\u00e9re") for p in parts})
    h.check(c.committed(parts[0], metadata=True).metadata == "left off h\u00e9re", "kafka-python: other metadata")
    c.close(autocommit=False)
    return seen


def by_kcat(kirad):
    """kcat joins, reads 100 records, commits them as it leaves; by partition."""
    _, out, _ = h.run([h.need("kcat", "kcat"), "-b", kirad.bootstrap, "-G", "kcat", "-c", "100", "-q", "-f", "%p %o\\n",
                       "-X", "auto.offset.reset=earliest", "-X", "session.timeout.ms=6000", "t"], seconds=60)
    seen = {}
    for line in out.splitlines():
        partition, offset = map(int, line.split())
        seen[partition] = max(seen.get(partition, 0), offset + 1)
    h.check(sum(seen.values()) == 100, "kcat read %s" % seen)
    return seen


def right(kirad, group, seen):
    got = described(kirad, group)
    want = {p: (o, RECORDS, RECORDS - o) for p, o in seen.items()}
    h.check({p: got.get(p) for p in want} == want, "kira group describe %s: %s, not %s" % (group, got, want))


def with_members(confluent, kirad):
    """A group with a member: described with it, and neither reset nor deleted."""
    c = confluent.Consumer({"bootstrap.servers": kirad.bootstrap, "group.id": "busy", "session.timeout.ms": 6000,
                            "client.id": "the-member", "auto.offset.reset": "earliest", "enable.auto.commit": False})
    c.subscribe(["t"])
    h.until(lambda: c.poll(0.1) is not None, 30, "a member that is given something")
    _, out, _ = kira(kirad, "describe", "busy")
    h.check("Stable, 1 member" in out and out.count("the-member/127.0.0.1") == 2, "describe of a group with a member:\n" + out)
    for words in (["reset", "busy", "--topic", "t", "--to", "earliest"], ["delete", "busy"]):
        code, _, err = kira(kirad, *words, ok=(1,))
        h.check("member" in err or "empty" in err.lower(), "%s: %s" % (words, err))
    c.close()


def main():
    confluent = h.need_module("confluent_kafka", "python3-confluent-kafka")
    kafka = h.need_module("kafka", "python3-kafka")
    clients = [cells.Client(name, cells.COMMITS) for name in (cells.KCAT, cells.CONFLUENT, cells.PYTHON)]
    kirad = h.Kirad(extra=["--group-initial-rebalance-delay-ms", "0"])
    kirad.start()
    h.run([h.binary("kira"), "topic", "create", "t", "--partitions", "2", "-b", kirad.bootstrap])
    for p in (0, 1):
        h.run([h.need("kcat", "kcat"), "-b", kirad.bootstrap, "-P", "-t", "t", "-p", str(p)],
              stdin="".join("record %d\n" % i for i in range(RECORDS)).encode())
    load = Load(confluent, kirad)
    load.start()
    committed = {"confluent": by_confluent(confluent, kirad), "kafka-python": by_kafka_python(kafka, kirad),
                 "kcat": by_kcat(kirad)}
    for group, seen in committed.items():
        right(kirad, group, seen)
    h.until(lambda: load.acked > 0, 60, "the load commits")
    for n in range(3):
        acked = load.acked
        kirad.kill9()
        kirad.start()
        for group, seen in committed.items():
            right(kirad, group, seen)
        h.check(described(kirad, "load")[0][0] >= acked, "kill %d: group load is behind what was answered" % (n + 1))
        h.until(lambda: load.acked > acked, 60, "commits after kill %d" % (n + 1))
    load.stop = True
    load.join(30)
    h.check(not load.is_alive() and not load.wrong, "the load ended with %s" % load.wrong)

    _, out, _ = kira(kirad, "list")
    h.check([l.split()[1] for l in out.splitlines()] == ["confluent", "kafka-python", "kcat", "load"], "kira group list:\n" + out)
    kira(kirad, "reset", "confluent", "--to", "17", "--dry-run")
    right(kirad, "confluent", committed["confluent"])
    kira(kirad, "reset", "confluent", "--topic", "t", "--partition", "1", "--to", "17")
    right(kirad, "confluent", {0: committed["confluent"][0], 1: 17})
    kira(kirad, "reset", "kcat", "--topic", "t", "--to", "latest")
    right(kirad, "kcat", {0: RECORDS, 1: RECORDS})
    kira(kirad, "reset", "kcat", "--to", "@0")
    right(kirad, "kcat", {0: 0, 1: 0})
    kira(kirad, "reset", "kcat", "--to", "301", ok=(2,))
    with_members(confluent, kirad)
    kira(kirad, "delete", "kcat")
    code, _, err = kira(kirad, "describe", "kcat", ok=(1,))
    h.check("no group kcat" in err, err)
    kira(kirad, "delete", "kcat", ok=(1,))
    kirad.kill9()
    kirad.start()
    kira(kirad, "describe", "kcat", ok=(1,))
    right(kirad, "kafka-python", committed["kafka-python"])
    kirad.stop()
    for client in clients:
        client.passed(cells.COMMITS)
    print("result: 3 clients and %d commits beside them over 4 kills, none went back" % load.acked)
    return 0


h.main(main)
