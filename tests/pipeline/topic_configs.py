#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# needs: clients
# about: control storage dataplane tests/pipeline/harness.py
# timeout: 240
"""topic_configs.py - configurations that change while a topic is in use act on it: retention, segments, sizes,
stamps, rewriting; a kill right after the answer takes none of them back; clients see what is set."""
import glob
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h

MIB = 1 << 20


def body():
    ck = h.need_module("confluent_kafka", "python3-confluent-kafka")
    kcat = h.need("kcat", "kcat")
    kira = h.binary("kira")
    kirad = h.Kirad(extra=["--rewrite-after-ms", "500"]).start()

    def topic(*words, ok=(0,)):
        code, out, err = h.run([kira, "topic"] + list(words) + ["--bootstrap", kirad.bootstrap], ok=ok)
        return (code, out.decode() if isinstance(out, bytes) else out, err.decode() if isinstance(err, bytes) else err)

    def own(name):
        return dict(re.findall(r"^  ([a-z.]+)=(.*)$", topic("describe", name)[1], re.M))

    def ends(name):
        found = []
        for at in (-2, -1):
            _, out, _ = h.run([kcat, "-b", kirad.bootstrap, "-Q", "-t", "%s:0:%d" % (name, at)])
            found.append(int(re.search(r"offset (-?\d+)", out).group(1)))
        return tuple(found)

    def produce(name, n, size=1000, ok=(0,)):
        """Lines that compress, as much as they differ."""
        return h.run([kcat, "-b", kirad.bootstrap, "-P", "-t", name, "-X", "message.max.bytes=4000000"],
                     stdin=b"\n".join(b"%06d" % i + b"x" * (size - 6) for i in range(n)), ok=ok)

    def stored(name):
        found = h.stat_of(sorted(glob.glob(os.path.join(kirad.data_dir, name + "-0", "*.log"))))
        return {os.path.basename(p): s.st_size for p, s in found.items()}

    topic("create", "t", "--partitions", "1", "--config", "segment.bytes=%d" % MIB)
    produce("t", 8000)
    h.check(ends("t") == (0, 8000), "not all is there: %s" % (ends("t"),))

    # Retention: by size, then by time.
    topic("alter", "t", "--set", "retention.bytes=%d" % (3 * MIB))
    h.until(lambda: 0 < ends("t")[0] < 8000 and len(stored("t")) <= 6, 20, "segments to go by size")
    h.check((8000 - ends("t")[0]) * 1009 >= 3 * MIB, "fewer bytes are left than retention.bytes")
    topic("alter", "t", "--set", "retention.ms=1", "--unset", "retention.bytes")
    h.until(lambda: ends("t") == (8000, 8000), 30, "all to go by time")
    topic("alter", "t", "--unset", "retention.ms")
    h.check(own("t") == {"segment.bytes": str(MIB)}, "what the topic sets: %s" % own("t"))
    h.say("retention by size and by time, without a restart")

    # Sizes: of a batch at once, of a segment with the one after the next.
    topic("alter", "t", "--set", "max.message.bytes=2000")
    code, _, err = produce("t", 1, 5000, ok=None)
    h.check(code != 0 and "too large" in err.lower(), "a record of 5000 bytes was taken: %s %s" % (code, err))
    topic("alter", "t", "--unset", "max.message.bytes", "--set", "segment.bytes=%d" % (4 * MIB))
    produce("t", 12000)
    sealed = [size for size in stored("t").values() if size > 2 * MIB]
    h.check(sealed, "no segment became larger: %s" % stored("t"))
    h.say("max.message.bytes and segment.bytes")

    # Stamps.
    def stamp():
        producer = ck.Producer({"bootstrap.servers": kirad.bootstrap, "log_level": 3})
        producer.produce("t", b"x", timestamp=5)
        h.check(producer.flush(120) == 0, "a record was not taken")
        consumer = ck.Consumer({"bootstrap.servers": kirad.bootstrap, "group.id": "unused"})
        consumer.assign([ck.TopicPartition("t", 0, ends("t")[1] - 1)])
        record = consumer.poll(20)
        h.check(record is not None and not record.error(), "the record is not read")
        consumer.close()
        return record.timestamp()
    h.check(stamp() == (ck.TIMESTAMP_CREATE_TIME, 5), "CreateTime")
    topic("alter", "t", "--set", "message.timestamp.type=LogAppendTime")
    kind, at = stamp()
    h.check(kind == ck.TIMESTAMP_LOG_APPEND_TIME and at > 5, "LogAppendTime: %s %s" % (kind, at))
    topic("alter", "t", "--set", "message.timestamp.type=CreateTime", "--set", "message.timestamp.before.max.ms=60000")
    producer = ck.Producer({"bootstrap.servers": kirad.bootstrap, "log_level": 3})
    failed = []
    producer.produce("t", b"x", timestamp=5, on_delivery=lambda e, m: failed.append(e))
    h.check(producer.flush(120) == 0 and failed[0] and failed[0].code() == 32, "a timestamp out of bounds: %s" % failed)
    topic("alter", "t", "--unset", "message.timestamp.before.max.ms", "--unset", "message.timestamp.type")
    h.say("LogAppendTime and back, bounds of timestamps")

    # Rewriting: the sealed ones shrink.
    before = sum(stored("t").values())
    topic("alter", "t", "--set", "compression.type=lz4")
    h.until(lambda: sum(stored("t").values()) < before - 4 * MIB, 100, "sealed segments to be rewritten")
    start, end = ends("t")
    _, out, _ = h.run([kcat, "-b", kirad.bootstrap, "-C", "-t", "t", "-o", "beginning", "-e", "-q",
                       "-X", "check.crcs=true", "-f", "%o\n"])
    h.check([int(x) for x in out.split()] == list(range(start, end)), "not what was stored is read")
    h.say("compression.type=lz4 rewrites what was there")

    # Refused, with the reason, and nothing changes.
    for words, reason in ((["--set", "cleanup.policy=compact"], "only delete is offered"),
                          (["--set", "no.such=1"], "no such topic configuration"),
                          (["--set", "retention.ms=soon"], "is wanted"),
                          (["--unset", "no.such"], "no such topic configuration"), ([], "nothing to do")):
        code, _, err = topic("alter", "t", *words, ok=None)
        h.check(code in (1, 2) and reason in err, "%s: %s %s" % (words, code, err))
    code, _, err = topic("alter", "none", "--set", "retention.ms=1", ok=None)
    h.check(code == 1 and "no such topic" in err, "an unknown topic: %s %s" % (code, err))
    h.check(own("t") == {"segment.bytes": str(4 * MIB), "compression.type": "lz4"}, "set: %s" % own("t"))

    # Answered is kept.
    for n in range(5):
        topic("alter", "t", "--set", "segment.ms=%d" % (3600000 + n))
        kirad.kill9()
        kirad.start()
        h.check(own("t")["segment.ms"] == str(3600000 + n), "after a kill: %s" % own("t"))
    _, out, _ = topic("describe", "t", "--all")
    h.check(re.search(r"topic +segment\.ms=3600004", out) and re.search(r"default +retention\.ms=604800000", out), out)
    produce("t", 10)
    h.check(ends("t")[1] == end + 10, "it does not go on")
    kirad.stop()
    h.run([kira, "check", kirad.data_dir])
    h.say("result: retention, sizes, stamps, rewriting act on a topic in use; 5 x kill -9 after the answer")


h.main(body)
