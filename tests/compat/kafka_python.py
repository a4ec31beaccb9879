#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# needs: clients
# timeout: 180
"""kafka_python.py - python3-kafka 2.0.2, the oldest version of each request: plain, LZ4 and gzip produce, reading by
assign(), offsets, topic administration; and it reads what kcat wrote."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "pipeline")]
import cells
import harness as h


def body():
    kafka = h.need_module("kafka", "python3-kafka")
    h.need_module("lz4", "python3-lz4")
    from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
    cell = cells.Client(cells.PYTHON, *(cells.CODEC[c] for c in ("plain", "gzip", "lz4")), cells.TIMES, cells.TOPICS,
                        cells.CONFIGS)
    kirad = h.Kirad(extra=["--num-partitions", "2"]).start()
    admin = kafka.KafkaAdminClient(bootstrap_servers=kirad.bootstrap, request_timeout_ms=20000)
    admin.create_topics([NewTopic("kp-plain", 2, 1), NewTopic("kp-lz4", 2, 1), NewTopic("kp-gzip", 2, 1)], timeout_ms=20000)

    for kind, name, key in ((ConfigResourceType.TOPIC, "kp-plain", "retention.ms"),
                            (ConfigResourceType.BROKER, "1", "log.retention.ms")):
        (answer,) = admin.describe_configs([ConfigResource(kind, name)])
        code, message, _, _, entries = answer.resources[0]
        found = {e[0]: e[1] for e in entries}
        h.check(code == 0 and found.get(key) == "604800000", "%s: %s %s %s" % (key, code, message, found))

    (answer,) = [admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, "kp-plain", {"segment.ms": "3600000"})])]
    h.check(answer.resources[0][0] == 0, "alter_configs: %s" % answer)
    (answer,) = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "kp-plain", {"segment.ms": None})])
    h.check(answer.resources[0][4][0][:2] == ("segment.ms", "3600000"), "altered: %s" % answer)
    cell.passed(cells.CONFIGS)

    def read_all(topic):
        consumer = kafka.KafkaConsumer(bootstrap_servers=kirad.bootstrap, check_crcs=True, group_id=None,
                                       enable_auto_commit=False, request_timeout_ms=40000)
        parts = [kafka.TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic))]
        consumer.assign(parts)
        consumer.seek_to_beginning(*parts)
        ends = consumer.end_offsets(parts)
        h.check(all(o == 0 for o in consumer.beginning_offsets(parts).values()), "%s does not begin at 0" % topic)
        found = []

        def done():
            for batch in consumer.poll(500, max_records=5000).values():
                found.extend(batch)
            return all(consumer.position(p) >= ends[p] for p in parts)
        h.until(done, 60, "%s is read to its end" % topic)
        consumer.close()
        return found

    for topic, codec in (("kp-plain", None), ("kp-lz4", "lz4"), ("kp-gzip", "gzip")):
        producer = kafka.KafkaProducer(bootstrap_servers=kirad.bootstrap, compression_type=codec, acks="all", linger_ms=5,
                                       request_timeout_ms=20000)
        sent = [("key%d" % n if n % 2 else None, "%s %d" % (topic, n)) for n in range(10000)]
        futures = [producer.send(topic, v.encode(), k.encode() if k else None, partition=n % 2)
                   for n, (k, v) in enumerate(sent)]
        producer.flush(120)
        for n, f in enumerate(futures):
            h.check(f.succeeded(), "record %d: %s" % (n, f.exception))
        producer.close()
        found = read_all(topic)
        differs = h.same_multiset([repr(x).encode() for x in sent], [
            repr((m.key.decode() if m.key else None, m.value.decode())).encode() for m in found])
        h.check(not differs, "%s: %s" % (topic, differs))
        for n, f in enumerate(futures[:200]):
            at = f.value
            h.check(any(m.partition == at.partition and m.offset == at.offset and m.value == sent[n][1].encode() for m in found),
                    "record %d is not where its ack said" % n)
        h.say("%-9s 10000 records there and back" % topic)
        cell.passed(cells.CODEC[topic[3:]])

    consumer = kafka.KafkaConsumer(bootstrap_servers=kirad.bootstrap, group_id=None)
    middle = next(m.timestamp for m in found if m.offset == 2500 and m.partition == 0)
    first = min(m.offset for m in found if m.partition == 0 and m.timestamp >= middle)
    part = kafka.TopicPartition("kp-gzip", 0)       # what was found last
    got = [consumer.offsets_for_times({part: at})[part] for at in (0, middle, 1 << 50)]
    h.check([g and g.offset for g in got] == [0, first, None], "offsets_for_times: %s, not %s" % (got, first))
    consumer.close()
    cell.passed(cells.TIMES)

    kcat = h.need("kcat", "kcat")
    lines = ["from kcat %d" % n for n in range(10000)]
    h.run([kcat, "-b", kirad.bootstrap, "-P", "-t", "kp-kcat", "-z", "lz4"], stdin="\n".join(lines).encode())
    differs = h.same_multiset([x.encode() for x in lines], [m.value for m in read_all("kp-kcat")])
    h.check(not differs, "what kcat wrote with LZ4: %s" % differs)
    h.say("it reads what kcat wrote with LZ4")
    h.check({"kp-plain", "kp-lz4", "kp-kcat"} <= set(admin.list_topics()), "list_topics: %s" % admin.list_topics())
    admin.delete_topics(["kp-lz4"], timeout_ms=20000)
    h.until(lambda: "kp-lz4" not in admin.list_topics(), 20, "a deleted topic is gone")
    cell.passed(cells.TOPICS)
    admin.close()
    kirad.stop()
    h.say("result: plain, LZ4 and gzip, 10000 records each, and 10000 of kcat's")


h.main(body)
