#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# needs: clients
# timeout: 300
"""confluent.py - python3-confluent-kafka (librdkafka) produces with every codec and idempotent, reads by assign(), asks for
watermarks and offsets by time, makes and deletes topics, and gets a clean error for transactions."""
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "pipeline")]
import cells
import harness as h

PARTITIONS = 3


def read_all(ck, bootstrap, topic, partitions):
    consumer = ck.Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "check.crcs": True,
                            "enable.auto.commit": False, "enable.partition.eof": True})
    consumer.assign([ck.TopicPartition(topic, p, 0) for p in range(partitions)])
    found, ended, end = [], set(), time.monotonic() + 60
    while len(ended) < partitions:
        h.check(time.monotonic() < end, "reading %s took over 60 s" % topic)
        for m in consumer.consume(2000, timeout=1):
            if m.error():
                h.check(m.error().code() == ck.KafkaError._PARTITION_EOF, "%s: %s" % (topic, m.error()))
                ended.add(m.partition())
            else:
                found.append((m.partition(), m.offset(), m.key(), m.value(), m.headers()))
    consumer.close()
    return found


def describe_configs(ck, admin_module, admin):
    resource = admin_module.ConfigResource

    def ask(kind, name):
        (done,) = admin.describe_configs([resource(kind, name)]).values()
        return done.result(20)
    entries = ask(resource.Type.TOPIC, "plain")
    own = {e.name: e.value for e in entries.values() if e.source == admin_module.ConfigSource.DYNAMIC_TOPIC_CONFIG.value}
    h.check(own == {"retention.ms": "3600000"}, "the topic's own: %s" % own)
    h.check(entries["segment.bytes"].value == "1073741824" and entries["segment.bytes"].is_default, "segment.bytes")
    names = [s.value for s in entries["retention.ms"].synonyms.values()]
    h.check(names == ["3600000", "604800000"], "synonyms of retention.ms: %s" % names)
    (broker,) = [str(b) for b in admin.list_topics(timeout=20).brokers]
    entries = ask(resource.Type.BROKER, broker)
    h.check(entries["num.partitions"].value == "1" and all(e.is_read_only for e in entries.values()), "the broker's")
    try:
        ask(resource.Type.TOPIC, "none")
        raise h.Failed("a topic that is not there was described")
    except ck.KafkaException as e:
        h.check(e.args[0].code() == ck.KafkaError.UNKNOWN_TOPIC_OR_PART, "described: %s" % e)
    h.say("configurations of topic and broker described")

    # The only way this release has: what is not named returns to its default.
    def alter(settings, **more):
        (done,) = admin.alter_configs([resource(resource.Type.TOPIC, "plain", set_config=settings)], **more).values()
        return done.result(20)

    def own():
        return {e.name: e.value for e in ask(resource.Type.TOPIC, "plain").values()
                if e.source == admin_module.ConfigSource.DYNAMIC_TOPIC_CONFIG.value}
    alter({"segment.bytes": "33554432", "max.message.bytes": "2000000"})
    h.check(own() == {"segment.bytes": "33554432", "max.message.bytes": "2000000"}, "altered: %s" % own())
    alter({"retention.ms": "5000"}, validate_only=True)
    h.check("retention.ms" not in own(), "validate_only changed a topic")
    for settings in ({"cleanup.policy": "compact"}, {"no.such.thing": "1"}, {"retention.ms": "soon"}):
        try:
            alter(settings)
            raise h.Failed("altered to %s" % settings)
        except ck.KafkaException as e:
            h.check(e.args[0].code() == ck.KafkaError.INVALID_CONFIG, "%s: %s" % (settings, e))
    h.check(len(own()) == 2, "a refused change left something: %s" % own())
    h.say("configurations altered, and refused with a reason")


def body():
    ck = h.need_module("confluent_kafka", "python3-confluent-kafka")
    admin_module = h.need_module("confluent_kafka.admin", "python3-confluent-kafka").admin
    cell = cells.Client(cells.CONFLUENT, *cells.CODEC.values(), cells.IDEMPOTENT, cells.TIMES, cells.TOPICS, cells.CONFIGS,
                        cells.TRANSACTIONS)
    kirad = h.Kirad().start()
    admin = admin_module.AdminClient({"bootstrap.servers": kirad.bootstrap})
    topics = ("plain", "gzip", "snappy", "lz4", "zstd", "idempotent")
    for name, done in admin.create_topics([admin_module.NewTopic(t, PARTITIONS, 1, config={"retention.ms": "3600000"})
                                           for t in topics]).items():
        done.result(20)
    for name, done in admin.create_topics([admin_module.NewTopic("plain", 1, 1)]).items():
        try:
            done.result(20)
            raise h.Failed("a topic was created twice")
        except ck.KafkaException as e:
            h.check(e.args[0].code() == ck.KafkaError.TOPIC_ALREADY_EXISTS, "created twice: %s" % e)
    listed = admin.list_topics(timeout=20)
    h.check(set(topics) <= set(listed.topics) and listed.cluster_id, "list_topics: %s" % listed.topics)
    h.say("topics made and listed, cluster id %s" % listed.cluster_id)

    describe_configs(ck, admin_module, admin)
    cell.passed(cells.CONFIGS)

    for topic in topics:
        config = {"bootstrap.servers": kirad.bootstrap, "linger.ms": 5, "log_level": 3}
        config.update({"plain": {}, "idempotent": {"compression.type": "lz4", "enable.idempotence": True}}.get(
            topic, {"compression.type": topic, "acks": "1"}))
        producer, failed = ck.Producer(config), []
        sent = []
        for n in range(20000):
            key, value = (b"k%d" % n if n % 3 else None), b"%s %d" % (topic.encode(), n) * (1 + n % 4)
            headers = [("n", b"%d" % n)] if n % 5 == 0 else None
            producer.produce(topic, value, key, partition=n % PARTITIONS, headers=headers,
                             on_delivery=lambda e, m: e is not None and failed.append(str(e)))
            sent.append((n % PARTITIONS, key, value, headers))
            if n % 1000 == 0:
                producer.poll(0)
        h.check(producer.flush(120) == 0 and not failed, "%s: undelivered or failed: %s" % (topic, failed[:1]))
        found = read_all(ck, kirad.bootstrap, topic, PARTITIONS)
        differs = h.same_multiset([repr(x).encode() for x in sent],
                                  [repr((p, k, v, hd)).encode() for p, _, k, v, hd in found])
        h.check(not differs, "%s: %s" % (topic, differs))
        for p in range(PARTITIONS):
            offsets = [o for q, o, *_ in found if q == p]
            h.check(offsets == list(range(len(offsets))), "%s/%d: offsets are not dense" % (topic, p))
        h.say("%-15s %d records there and back" % (topic, len(found)))
        cell.passed(cells.CODEC.get(topic, cells.IDEMPOTENT))

    consumer = ck.Consumer({"bootstrap.servers": kirad.bootstrap, "group.id": "unused"})
    marks = consumer.get_watermark_offsets(ck.TopicPartition("plain", 0), timeout=20)
    h.check(marks == (0, len(range(0, 20000, PARTITIONS))), "watermarks of plain/0: %s" % (marks,))
    by_time = consumer.offsets_for_times([ck.TopicPartition("plain", 0, 0), ck.TopicPartition("plain", 1, 1 << 50)],
                                         timeout=20)
    h.check(by_time[0].offset == 0 and by_time[1].offset in (-1, ck.OFFSET_END), "offsets_for_times: %s" % by_time)
    consumer.close()
    cell.passed(cells.TIMES)

    producer = ck.Producer({"bootstrap.servers": kirad.bootstrap, "transactional.id": "x", "log_level": 0})
    try:
        producer.init_transactions(15)
        raise h.Failed("a transaction was offered")
    except ck.KafkaException as e:
        h.check(e.args[0].code() == ck.KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "transactions: %s" % e)
    h.say("transactions are refused clearly")
    cell.passed(cells.TRANSACTIONS)
    for name, done in admin.delete_topics(["lz4"]).items():
        done.result(20)
    h.until(lambda: "lz4" not in admin.list_topics(timeout=20).topics, 20, "a deleted topic is gone")
    cell.passed(cells.TOPICS)
    kirad.stop()
    h.say("result: 6 forms x 20000 records, admin, watermarks, offsets by time")


h.main(body)
