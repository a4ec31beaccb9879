# SPDX-License-Identifier: MIT
"""fill.py - fill a topic over TCP with librdkafka, fast, for tests that need bytes to read."""
import harness as h


def topic(kirad, name, size, value=64 << 10, acks="1", **more):
    """About `size` bytes of values into partition 0; returns how many bytes. acks=1 is level `log`."""
    confluent = h.need_module("confluent_kafka", "python3-confluent-kafka")
    config = {"bootstrap.servers": kirad.bootstrap, "acks": acks, "linger.ms": 5, "log_level": 3,
              "queue.buffering.max.kbytes": 262144}
    config.update(more)
    producer = confluent.Producer(config)
    failed, sent = [], 0
    payload = bytes(range(256)) * (value // 256)

    def done(err, msg):
        if err is not None:
            failed.append(str(err))
    while sent < size:
        try:
            producer.produce(name, payload, partition=0, on_delivery=done)
            sent += len(payload)
        except BufferError:
            producer.poll(0.1)
        producer.poll(0)
    h.check(producer.flush(120) == 0, "the topic was not filled within 120 s")
    h.check(not failed, "filling the topic failed: %s" % failed[:1])
    return sent
