#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# long: --kafka 3.9.1
# long: --kafka 4.1.0
# about: control dataplane tests/pipeline/harness.py
"""fetch_sessions.py - Apache's Java consumer keeps a fetch session over many partitions: it gets every record of each once
and in order, each as soon as it is there, and begins a new session when kirad is killed."""
import argparse
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "pipeline")]
import harness as h
from java_tools import Tools

PARTITIONS, ROUNDS = 200, 40



def body():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--kafka", default="3.9.1")
    args = args.parse_args()
    confluent = h.need_module("confluent_kafka", "python3-confluent-kafka")
    tools = Tools(args.kafka)
    kirad = h.Kirad(extra=["--num-partitions", str(PARTITIONS), "--topic-default", "segment.bytes=1048576"])
    kirad.start()
    producer = confluent.Producer({"bootstrap.servers": kirad.bootstrap, "acks": "all", "enable.idempotence": True,
                                   "linger.ms": 0, "log_level": 2})
    sent = []

    def produce(n):
        """Into a few partitions each time, so that most of the session has nothing new."""
        for p in range(n % 7, PARTITIONS, 29):
            value = "%d %d" % (p, n)
            producer.produce("many", value, partition=p)
            sent.append(value)
        h.check(producer.flush(120) == 0, "records were not acknowledged within two minutes")

    produce(0)
    consumer = tools.start("ConsoleConsumer", "--bootstrap-server", kirad.bootstrap, "--topic", "many", "--from-beginning",
                           "--consumer-property", "fetch.max.wait.ms=2000")

    def got():
        return consumer.output().split("\n")[:-1]
    h.until(lambda: len(got()) >= len(sent), 90, "the first records are there")
    sessions = kirad.count("fetch_sessions")
    longest = 0
    for n in range(1, ROUNDS):
        produce(n)
        begun = time.monotonic()
        h.until(lambda: len(got()) >= len(sent), 90, "round %d is there" % n)
        if n not in (ROUNDS // 2, ROUNDS // 2 + 1):
            longest = max(longest, time.monotonic() - begun)
        if n == ROUNDS // 2:
            kirad.kill9()
            kirad.start()
    h.check(sessions == 1, "the consumer has no session")
    h.check(kirad.count("fetch_sessions") == 1, "after the kill it has no session any more")
    h.check(longest < 1.5, "a record took %.1f s: nobody woke the session" % longest)
    lines = got()
    h.check(sorted(lines) == sorted(sent), "%d records sent, %d read, %d of them different ones" % (
        len(sent), len(lines), len(set(lines))))
    for p in range(PARTITIONS):
        mine = [int(x.split()[1]) for x in lines if x.split()[0] == str(p)]
        h.check(mine == sorted(mine), "partition %d is out of order" % p)
    consumer.term()
    kirad.stop()
    h.say("result: Kafka %s: %d records of %d partitions through a session, once and in order over a kill; a record took "
          "%.0f ms at most" % (args.kafka, len(sent), PARTITIONS, 1000 * longest))


h.main(body)
