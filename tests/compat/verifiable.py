#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# long: --kafka 3.9.1
# long: --kafka 4.1.0
# about: control storage tests/pipeline/harness.py tests/compat/java_tools.py
# needs: clients
# timeout: 500
"""verifiable.py - Apache's VerifiableProducer (acks=-1, idempotent) and VerifiableConsumer under load while kirad is killed
20 times: what was acked, what is stored and what was consumed are the same records, at the same offsets."""
import argparse
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "pipeline")]
import cells
import harness as h
from java_tools import Tools, events

FEATURE = "VerifiableProducer, VerifiableConsumer, kirad killed"
# A sender that gives up may have stored what it tells as failed: this one does not give up.
PRODUCER = "enable.idempotence=true\nretries=2147483647\ndelivery.timeout.ms=600000\nrequest.timeout.ms=5000\nlinger.ms=2\n"
LINE = 150          # bytes of a line of theirs, about


def size(process):
    return os.path.getsize(process.log.name)


def kill_under_load(tools, kills, rng):
    kirad = h.Kirad(extra=["--num-partitions", "4", "--group-initial-rebalance-delay-ms", "0"]).start()
    where = ("--bootstrap-server", kirad.bootstrap)
    config = os.path.join(h.temp_dir(), "producer")
    with open(config, "w") as f:
        f.write(PRODUCER)
    producer = tools.start("VerifiableProducer", *where, "--topic", "t", "--acks", "-1", "--throughput", "2000",
                           "--producer.config", config)
    consumer = tools.start("VerifiableConsumer", *where, "--topic", "t", "--group-id", "g", "--reset-policy", "earliest",
                           "--verbose")
    for _ in range(kills):
        marks = [size(p) + LINE * rng.randrange(100, 3000) for p in (producer, consumer)]
        h.until(lambda: all(size(p) >= m for p, m in zip((producer, consumer), marks)), 60, "both go on")
        kirad.kill9()
        kirad.start()
    producer.term(60)
    # The one that its end interrupts was not sent; below, it must not be there.
    failed = [e for e in events(producer.output(), "producer_send_error") if "closed while send in progress" not in e["message"]]
    h.check(not failed, "%d sends failed: %s" % (len(failed), failed[:2]))
    acked = events(producer.output(), "producer_send_success")
    values = {e["value"] for e in acked}
    h.check(len(values) == len(acked), "a value was acked twice")

    def consumed():
        h.check(consumer.poll() is None, "VerifiableConsumer ended with %s" % consumer.poll())
        found = events(consumer.output(), "record_data")
        return found if values <= {e["value"] for e in found} else None
    found = h.until(consumed, 60, "all that was acked is consumed")
    consumer.term()
    more = {e["value"] for e in found} - values
    h.check(not more, "consumed, but not acked: %s" % sorted(more)[:5])
    places = {(e["partition"], e["offset"], e["value"]) for e in found}
    h.check(len(places) == len(values), "%d places hold %d values: one is stored twice, or changed" % (len(places), len(values)))
    # An ack that was lost with a kill is told again without an offset where its batch is no longer among the last five.
    told = {(e["partition"], e["offset"], e["value"]) for e in acked if e["offset"] >= 0}
    h.check(told <= places, "not where its ack said: %s" % sorted(told - places)[:3])
    kirad.stop()
    return len(values), len(found) - len(places)


def body():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kafka", default="3.9.1", help="release of the clients")
    parser.add_argument("--kills", type=int, default=20)
    args = parser.parse_args()
    java = cells.Client("Java " + args.kafka, FEATURE)
    tools = Tools(args.kafka)
    counts = java.attempt(FEATURE, kill_under_load, tools, args.kills, h.seeded())
    cells.check()
    h.say("result: Kafka %s: %d records acked, stored and consumed over %d x kill -9; %d consumed again" % (
        args.kafka, counts[0], args.kills, counts[1]))


h.main(body)
