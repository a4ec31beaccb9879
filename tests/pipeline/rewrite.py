#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# asan:
# needs: clients
# timeout: 500
"""rewrite.py - sealed segments of topics with compression.type=lz4 are rewritten under the eyes of readers.

JSON-like lines come from python3-confluent-kafka (idempotent, with keys, headers and given timestamps), kcat and
`kira produce` into topics with small segments. While they come and segments are swapped, a consumer reads all of it
again and again and from random places, every byte compared, checksums checked. Then kcat, both Python clients and
`kira consume` read everything, from offsets in the middle of batches, and by timestamp. kira check and log_files.py
find nothing; a clean stop and a kill -9 in the middle of a rewriting change nothing."""
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "compat"))
import harness as h
import log_files

T0 = 1700000000000
N = 16000                       # lines per topic, some 4 MiB of segments each
TOPICS = ("py", "kcat", "kira")
STEP = 5                        # ms between given timestamps


def line(random, topic, n):
    return json.dumps({"topic": topic, "n": n, "level": random.choice(("info", "warn", "debug")), "host": "web-%02d" % random.randrange(40),
                       "path": "/api/v1/item/%d" % random.randrange(5000), "status": random.choice((200, 200, 404, 500)),
                       "agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"}).encode()


def produce(kirad, lines):
    confluent = h.need_module("confluent_kafka", "python3-confluent-kafka")
    failed = []
    producer = confluent.Producer({"bootstrap.servers": kirad.bootstrap, "enable.idempotence": True, "linger.ms": 1,
                                   "batch.num.messages": 15})
    for n, value in enumerate(lines["py"]):
        producer.produce("py", value, key=b"key %d" % n, partition=0, timestamp=T0 + STEP * n, headers=[("n", b"%d" % n)],
                         on_delivery=lambda err, msg: err and failed.append(str(err)))
        if n % 500 == 0:
            producer.poll(0.05)
    h.check(producer.flush(150) == 0 and not failed, "producing failed: %s" % failed[:1])
    h.run([h.need("kcat", "kcat"), "-b", kirad.bootstrap, "-P", "-t", "kcat", "-X", "linger.ms=0", "-X", "batch.num.messages=15"],
          stdin=b"\n".join(lines["kcat"]) + b"\n", seconds=150)
    h.run([h.binary("kira"), "produce", "-b", kirad.bootstrap, "-t", "kira", "--transport", "tcp", "--batch", "4000", "-a", "disk"],
          stdin=b"\n".join(lines["kira"]) + b"\n", seconds=150)


class Reader(threading.Thread):
    """Reads until it is told to end; what it finds wrong is in `wrong`."""

    def __init__(self, kirad, lines, random):
        super().__init__(daemon=True)
        self.confluent = h.need_module("confluent_kafka", "python3-confluent-kafka")
        self.kirad, self.lines, self.random = kirad, lines, random
        self.stop, self.wrong, self.read, self.rounds = False, None, 0, 0

    def run(self):
        consumer = self.confluent.Consumer({"bootstrap.servers": self.kirad.bootstrap, "group.id": "none", "check.crcs": True,
                                            "enable.auto.commit": False, "fetch.wait.max.ms": 20,
                                            "fetch.message.max.bytes": 100000, "log_level": 3, "queued.max.messages.kbytes": 300})
        try:
            while not self.stop and not self.wrong:
                # At first of the topic that is filled first; nothing may be in the others yet.
                topic = self.random.choice(TOPICS) if self.read else TOPICS[0]
                at = self.random.choice((0, self.random.randrange(N))) if self.read else 0
                consumer.assign([self.confluent.TopicPartition(topic, 0, at)])
                self.rounds += 1
                for _ in range(40):
                    some = consumer.consume(500, 0.05)
                    for m in some:
                        if m.error():       # beyond the end, while it still grows
                            continue
                        if m.value() != self.lines[m.topic()][m.offset()]:   # of the assignment before, at first
                            self.wrong = "%s offset %d: %r" % (m.topic(), m.offset(), m.value()[:100])
                        self.read += 1
                    if self.stop or (self.read and not some):
                        break
                time.sleep(0.2)     # who rewrites runs when nobody else does
        except Exception as e:
            self.wrong = repr(e)
        consumer.close()


def by_kcat(kirad, lines):
    kcat = h.need("kcat", "kcat")
    for topic in TOPICS:
        _, out, _ = h.run([kcat, "-b", kirad.bootstrap, "-C", "-t", topic, "-e", "-q", "-X", "check.crcs=true"])
        h.check(out.encode().splitlines() == lines[topic], "kcat reads %s otherwise" % topic)
    for at in range(1, N, N // 7):
        _, out, _ = h.run([kcat, "-b", kirad.bootstrap, "-C", "-t", "py", "-o", at, "-c", 1, "-q", "-f", "%o %k %T %h\n"])
        h.check(out == "%d key %d %d n=%d\n" % (at, at, T0 + STEP * at, at), "kcat at offset %d: %r" % (at, out))
        _, out, _ = h.run([kcat, "-b", kirad.bootstrap, "-Q", "-t", "py:0:%d" % (T0 + STEP * at - STEP + 1)])
        h.check(out.split()[-1] == str(at), "kcat by the time of %d: %r" % (at, out))


def by_kira(kirad, lines):
    kira = h.binary("kira")
    for topic in TOPICS:
        _, out, _ = h.run([kira, "consume", "-b", kirad.bootstrap, "-t", topic, "-e", "-f", "%s\n"])
        h.check(out.encode().splitlines() == lines[topic], "kira reads %s otherwise" % topic)
    for at in range(2, N, N // 5):
        for options in (["-o", at], ["--timestamp", T0 + STEP * at - 1]):
            _, out, _ = h.run([kira, "consume", "-b", kirad.bootstrap, "-t", "py", "-c", 1, "-f", "%o %s\n"] + options)
            h.check(out.encode() == b"%d %s\n" % (at, lines["py"][at]), "kira at %s: %r" % (options, out))


def by_confluent(kirad, lines):
    confluent = h.need_module("confluent_kafka", "python3-confluent-kafka")
    consumer = confluent.Consumer({"bootstrap.servers": kirad.bootstrap, "group.id": "all", "check.crcs": True, "enable.auto.commit": False})
    consumer.assign([confluent.TopicPartition("py", 0, 0)])
    got = []
    while len(got) < N:
        some = consumer.consume(2000, 30)
        h.check(some, "confluent gets nothing behind %d records" % len(got))
        got += some
    for n, m in enumerate(got):
        h.check((m.offset(), m.key(), m.value(), m.timestamp(), m.headers()) ==
                (n, b"key %d" % n, lines["py"][n], (1, T0 + STEP * n), [("n", b"%d" % n)]),
                "confluent, record %d: %r %r %r" % (n, m.key(), m.timestamp(), m.headers()))
    consumer.close()
    # One that fetches nothing: a question would wait behind each fetch that waits at the end.
    consumer = confluent.Consumer({"bootstrap.servers": kirad.bootstrap, "group.id": "all"})
    for at in range(3, N, N // 40):
        t = confluent.TopicPartition("py", 0, T0 + STEP * at - 2)
        found = consumer.offsets_for_times([t], 30)[0].offset
        h.check(found == at, "confluent by time: %d, not %d" % (found, at))
    consumer.close()


def by_kafka_python(kirad, lines):
    kafka = h.need_module("kafka", "python3-kafka")
    part = kafka.TopicPartition("py", 0)
    consumer = kafka.KafkaConsumer(bootstrap_servers=kirad.bootstrap, consumer_timeout_ms=30000, enable_auto_commit=False)
    consumer.assign([part])
    consumer.seek(part, 0)
    n = 0
    for m in consumer:
        h.check((m.offset, m.key, m.value, m.timestamp) == (n, b"key %d" % n, lines["py"][n], T0 + STEP * n),
                "kafka-python, record %d: %r" % (n, m))
        n += 1
        if n == N:
            break
    h.check(n == N, "kafka-python got %d records" % n)
    for at in range(5, N, N // 20):
        found = consumer.offsets_for_times({part: T0 + STEP * at})[part].offset
        h.check(found == at, "kafka-python by time: %d, not %d" % (found, at))
        consumer.seek(part, at)
        h.check(next(consumer).offset == at, "kafka-python at offset %d" % at)
    consumer.close()


def everybody(kirad, lines):
    for how in (by_kcat, by_kira, by_confluent, by_kafka_python):
        how(kirad, lines)


def create(kirad, topics):
    # What is asked here is no question of syncs: 1,067 batches, five at a time, would wait for 213 of them in turn.
    admin = h.need_module("confluent_kafka.admin", "python3-confluent-kafka").admin
    client = admin.AdminClient({"bootstrap.servers": kirad.bootstrap})
    new = [admin.NewTopic(t, 1, 1, config={"compression.type": "lz4", "segment.bytes": "1048576", "retention.ms": "-1",
                                               "kira.ack.all": "log"}) for t in topics]
    for future in client.create_topics(new).values():
        future.result(20)


def saved(kirad):
    return kirad.count("rewrite_segments"), kirad.count("rewrite_bytes_before"), kirad.count("rewrite_bytes_after")


def nothing_wrong(kirad, lines):
    """After a clean stop."""
    code, out, err = h.run([h.binary("kira"), "check", kirad.data_dir], ok=None)
    h.check(code == 0 and ": 0 damaged places, 0 notes;" in out, "kira check: %s%s" % (out, err))
    for part in log_files.check_directory(kirad.data_dir):
        h.check(not part.complaints, "log_files.py: %s" % part.complaints[:3])
    first = os.path.join(kirad.data_dir, "py-0", "%020d.log" % 0)
    _, out, _ = h.run([h.binary("kira"), "dump", "--records", "--json", first])
    values = [json.loads(one).get("value") for one in out.splitlines()]
    h.check(lines["py"][0].decode() in values and lines["py"][500].decode() in values, "kira dump does not show the records")
    left = [n for t in TOPICS for n in os.listdir(os.path.join(kirad.data_dir, t + "-0")) if n.endswith((".cleaned", ".swap"))]
    h.check(not left, "left over: %s" % left)


def body():
    random = h.seeded()
    kirad = h.Kirad(extra=["--rewrite-after-ms", "0"]).start()
    lines = {t: [line(random, t, n) for n in range(N)] for t in TOPICS}
    create(kirad, TOPICS)
    reader = Reader(kirad, lines, random)
    reader.start()
    produce(kirad, lines)
    sealed = len(TOPICS) * 3
    h.until(lambda: kirad.count("segments_sealed") >= sealed, 60, "the sealing of 3 segments of each topic")
    h.until(lambda: kirad.count("rewrite_segments") >= sealed - len(TOPICS), 150,
            "the rewriting of all but each topic's last sealed segment")
    h.check(reader.read > 0, "the reader read nothing during the swaps")
    reader.stop = True
    reader.join(60)
    h.check(not reader.wrong, "a reader during the swaps: %s" % reader.wrong)
    segments, before, after = saved(kirad)
    h.check(after * 2 < before, "%d bytes became %d" % (before, after))
    h.check(kirad.count("rewrite_failures") == 0, "a rewriting failed")
    _, out, _ = h.run([h.binary("kira"), "stat", "--data-dir", kirad.data_dir])
    h.check("rewritten with LZ4: %d segments, %.1f MiB became %.1f MiB," % (segments, before / 2**20, after / 2**20) in out and
            "storage.rewrite_bytes_after" in out, "kira stat does not show the saving: %s" % out[:300])
    h.say("%d segments rewritten, %d bytes became %d; %d records read meanwhile" % (segments, before, after, reader.read))
    everybody(kirad, lines)
    kirad.stop()
    nothing_wrong(kirad, lines)
    h.say("every client read it; nothing wrong in the files")
    # What the clean stop sealed is due now: killed as soon as it is written.
    kirad.start()
    h.until(lambda: kirad.count("rewrite_segments") + len([1 for t in TOPICS for n in os.listdir(
        os.path.join(kirad.data_dir, t + "-0")) if n.endswith((".cleaned", ".swap"))]), 150, "a rewriting after the start")
    kirad.kill9()
    kirad.start()
    by_kcat(kirad, lines)
    by_confluent(kirad, lines)
    kirad.stop()
    nothing_wrong(kirad, lines)
    h.say("result: %d segments, %d bytes became %d (%.1f x), %d records read across the swaps in %d rounds" % (
        segments, before, after, before / after, reader.read, reader.rounds))


h.main(body)
