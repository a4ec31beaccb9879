#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""read_lines.py CLIENT HOST:PORT TOPIC - partition 0 of a topic from its first to its last record, a line per
value on stdout, in order, by `confluent` (python3-confluent-kafka) or `kafka-python` (python3-kafka 2.0.2).

A program of its own so that a test can run it inside a network namespace."""
import sys
import time


def confluent(bootstrap, topic, out):
    import confluent_kafka as ck
    consumer = ck.Consumer({"bootstrap.servers": bootstrap, "group.id": "none", "check.crcs": True,
                            "enable.auto.commit": False, "enable.partition.eof": True})
    consumer.assign([ck.TopicPartition(topic, 0, 0)])
    while True:
        lines = []
        for m in consumer.consume(10000, timeout=10) or sys.exit("no message for 10 s"):
            if m.error() is None:
                lines.append(m.value())
            elif m.error().code() == ck.KafkaError._PARTITION_EOF:
                out.write(b"".join(v + b"\n" for v in lines))
                consumer.close()
                return
            else:
                sys.exit(str(m.error()))
        out.write(b"".join(v + b"\n" for v in lines))


def kafka_python(bootstrap, topic, out):
    import kafka
    consumer = kafka.KafkaConsumer(bootstrap_servers=bootstrap, check_crcs=True, group_id=None, enable_auto_commit=False,
                                   max_partition_fetch_bytes=4 << 20)
    part = kafka.TopicPartition(topic, 0)
    consumer.assign([part])
    consumer.seek_to_beginning(part)
    end = consumer.end_offsets([part])[part]
    last = time.monotonic()
    while consumer.position(part) < end:
        for batch in consumer.poll(1000, max_records=20000).values():
            out.write(b"".join(m.value + b"\n" for m in batch))
            last = time.monotonic()
        if time.monotonic() - last > 20:
            sys.exit("no message for 20 s")
    consumer.close()


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ("confluent", "kafka-python"):
        sys.exit(__doc__.split(" - ")[0])
    try:
        (confluent if sys.argv[1] == "confluent" else kafka_python)(sys.argv[2], sys.argv[3], sys.stdout.buffer)
    except ImportError as e:
        print("%s: apt-get install python3-confluent-kafka python3-kafka, and run /usr/bin/python3" % e, file=sys.stderr)
        sys.exit(77)
