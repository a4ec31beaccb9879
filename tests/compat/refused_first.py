#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# about: include storage dataplane control tests/crash/full_disk.py
# needs: clients root
# timeout: 240
"""refused_first.py - librdkafka's idempotent producer sends six batches, the first of them large, to a disk that is full,
and does not wait for answers. The first is refused; once there is room all must lie in the log, in order, where it was told.

A broker that takes the second first loses one: librdkafka concludes from its success that the first was stored, too."""
import os
import struct
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "pipeline"), os.path.join(HERE, "..", "crash")]
import full_disk
import harness as h
import kafka_wire as k

TOPIC, BATCHES, LARGE = "first", 6, 200000


def fill(kirad):
    """Until a batch as large as the first finds no room."""
    give_up, error = time.monotonic() + 60, 0
    records = k.batch([b"." * LARGE], ts=int(time.time() * 1000))
    while error == 0:
        h.check(time.monotonic() < give_up, "the disk was not full within 60 s")
        with k.Connection(kirad.host, kirad.port, timeout=20) as c:
            body = c.ask(k.request(k.PRODUCE, 3, k.produce_body(TOPIC, 0, records, timeout=300)))
        (error,) = struct.unpack_from(">h", body, 4 + 4 + 2 + len(TOPIC) + 4 + 4)
    h.check(error == 56, "a full disk is answered %d, not 56" % error)


def body():
    ck = h.need_module("confluent_kafka", "python3-confluent-kafka")
    h.need("kcat", "kcat")
    h.need_root("mounts")
    disk = full_disk.Disk("tmpfs")
    kirad = h.Kirad(data_dir=os.path.join(disk.mount, "data"), extra=["--disk-cap", "0.99", "--volatile"])
    os.mkdir(kirad.data_dir)
    kirad.start()
    h.run([h.binary("kira"), "topic", "create", TOPIC, "-c", "segment.bytes=1048576", "-b", kirad.bootstrap])
    ballast = full_disk.Ballast(disk, 1 << 20)
    fill(kirad)
    told, was = [], kirad.count("wait_expired")
    producer = ck.Producer({"bootstrap.servers": kirad.bootstrap, "log_level": 3, "enable.idempotence": True,
                            "linger.ms": 0, "batch.num.messages": 1, "message.timeout.ms": 60000})
    for n in range(BATCHES):
        producer.produce(TOPIC, b"." * (100 if n else LARGE), key=b"%d" % n,
                         on_delivery=lambda error, m: told.append((m.key().decode(), m.offset(), error)))
    h.until(lambda: producer.poll(0.05) or kirad.count("wait_expired") > was, 20, "the first batch is refused")
    ballast.let_go()
    h.check(producer.flush(120) == 0, "not all was told within two minutes: %s" % told)
    _, lines, _ = h.run(["kcat", "-b", kirad.bootstrap, "-C", "-t", TOPIC, "-e", "-q", "-f", "%k %o\\n"], seconds=60)
    lie = [(key, int(offset)) for key, offset in (line.split(" ") for line in lines.splitlines()) if key]
    h.check([key for key, _ in lie] == [str(n) for n in range(BATCHES)], "in the log: %s, told: %s" % (lie, told))
    h.check(sorted(told) == [(key, offset, None) for key, offset in lie], "told: %s, in the log: %s" % (told, lie))
    refused = kirad.count("wait_expired") - was
    kirad.stop()
    h.say("result: %d batches in order and told once, %d refused for want of room before" % (BATCHES, refused))


if __name__ == "__main__":
    h.main(body)
