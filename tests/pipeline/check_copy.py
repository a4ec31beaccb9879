#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# needs: clients
# timeout: 240
"""check_copy.py - kira check --copy of a directory that kirad is writing to.

Three topics of small segments are filled without a pause; one of them loses its oldest segments all the time, as
retention.bytes says, one has its segments rewritten with LZ4; a fourth is created and deleted again and again. Copies are made meanwhile: each passes kira check
and Kafka's own rules (log_files.py), and kirad started on one serves what it has, from the start offset to the cut, as
it was sent. The running kirad does not notice."""
import os
import shutil
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "compat"))
import harness as h
import log_files

COPIES = 6
SECONDS = 14


def line(topic, n):
    return "%s %d %s" % (topic, n, chr(97 + n % 26) * 800)


class Load(threading.Thread):
    """Sends to a topic until told to stop; slower than a core can, so that others run too."""

    def __init__(self, kirad, topic):
        super().__init__(daemon=True)
        confluent = h.need_module("confluent_kafka", "python3-confluent-kafka")
        self.topic, self.sent, self.wrong, self.end = topic, 0, [], False
        self.producer = confluent.Producer({"bootstrap.servers": kirad.bootstrap, "acks": "all", "linger.ms": 2,
                                            "enable.idempotence": True})

    def done(self, err, msg):
        if err:
            self.wrong.append(str(err))

    def run(self):
        while not self.end:
            for _ in range(100):
                try:
                    self.producer.produce(self.topic, line(self.topic, self.sent), partition=0, on_delivery=self.done)
                    self.sent += 1
                except BufferError:
                    break
            self.producer.poll(0.02)
        self.producer.flush(120)


def coming_and_going(kirad, stop):
    while not stop.is_set():
        h.run([h.binary("kira"), "topic", "create", "brief", "-b", kirad.bootstrap], ok=None)
        h.run([h.binary("kira"), "topic", "delete", "brief", "-b", kirad.bootstrap], ok=None)


def copy(kirad, to):
    begun = time.monotonic()
    code, out, err = h.run([h.binary("kira"), "check", kirad.data_dir, "--copy", to], ok=None, seconds=100)
    h.check(code == 0, "kira check --copy ended with %d:\n%s%s" % (code, out, err))
    return time.monotonic() - begun


def epoch(data, partition):
    """The leader epoch that it appends in."""
    with open(os.path.join(data, partition, "leader-epoch-checkpoint")) as f:
        return int(f.read().split("\n")[-2].split()[0])


def serves(where):
    """kirad on the copy: (records, first offset) of each topic."""
    kcat = h.need("kcat", "kcat")
    kirad = h.Kirad(data_dir=where).start()
    found = {}
    for topic in ("kept", "short", "squeezed"):
        _, out, _ = h.run([kcat, "-b", kirad.bootstrap, "-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q",
                           "-X", "check.crcs=true", "-f", "%o %s\\n"])
        got = [l.split(" ", 1) for l in out.splitlines()]
        first = int(got[0][0])
        h.check([(int(o), v) for o, v in got] == [(i, line(topic, i)) for i in range(first, first + len(got))],
                "%s: not the records that were sent, in order" % topic)
        found[topic] = (len(got), first)
    kirad.stop()
    return found


def body():
    kirad = h.Kirad(extra=["--topic-default", "segment.bytes=1048576", "--rewrite-after-ms", "0"]).start()
    h.run([h.binary("kira"), "topic", "create", "idle", "-b", kirad.bootstrap])
    h.run([h.binary("kira"), "produce", "-t", "idle", "-b", kirad.bootstrap], stdin=b"asleep\n" * 100)
    kirad.stop()
    kirad.start()       # from now on a start would take it at kira.state's word
    h.run([h.binary("kira"), "topic", "create", "short", "-c", "retention.bytes=2000000", "-b", kirad.bootstrap])
    h.run([h.binary("kira"), "topic", "create", "kept", "-b", kirad.bootstrap])
    h.run([h.binary("kira"), "topic", "create", "squeezed", "-c", "compression.type=lz4", "-b", kirad.bootstrap])
    loads = [Load(kirad, "kept"), Load(kirad, "short"), Load(kirad, "squeezed")]
    stop = threading.Event()
    churn = threading.Thread(target=coming_and_going, args=(kirad, stop), daemon=True)
    for t in loads + [churn]:
        t.start()
    h.until(lambda: kirad.count("segments_deleted") > 0, 60, "retention deletes segments")
    made, took, deleted = [], [], kirad.count("segments_deleted")
    h.until(lambda: os.path.exists(os.path.join(kirad.data_dir, "kira.state")), 10, "kira.state")
    end = time.monotonic() + SECONDS

    def goes_on():
        if len(made) < 2 or kirad.count("segments_deleted") == deleted:
            h.check(time.monotonic() < end + 60, "%d copies made, no segment deleted meanwhile" % len(made))
            return True
        return len(made) < COPIES and time.monotonic() < end
    while goes_on():
        to = "%s.copy%d" % (kirad.data_dir, len(made))
        h.at_exit(shutil.rmtree, to, True)
        took.append(copy(kirad, to))
        made.append(to)
        parts = log_files.check_directory(to)
        # A topic that nobody has written to has no file yet.
        wrong = [c for p in parts for c in p.complaints if c != "brief-0/: no segment"]
        h.check(not wrong, "Kafka's rules: %s" % wrong[:3])
        if len(made) < 4:
            time.sleep(0.2)
    h.until(lambda: kirad.count("rewrite_segments") > 0, 100, "a segment is rewritten")
    deleted = kirad.count("segments_deleted") - deleted
    stop.set()
    for load in loads:
        load.end = True
    for t in loads + [churn]:
        t.join(130)
    wrong = [w for l in loads for w in l.wrong]
    h.check(not wrong, "a record was not acked: %s" % wrong[:1])
    rewritten = kirad.count("rewrite_segments")
    h.check(rewritten > 0, "no segment was rewritten")
    code, out, err = h.run([h.binary("kira"), "check", kirad.data_dir, "--copy", made[0]], ok=None)
    h.check(code == 2 and "not empty" in err, "a copy over a copy: %d, %s" % (code, err))
    h.check(kirad.lives(), "kirad died of it")
    kirad.stop()
    h.run([h.binary("kira"), "check", kirad.data_dir])
    found = serves(made[-1])
    h.check(found["short"][1] > 0 and found["kept"][1] == 0, "first offsets: %s" % found)
    h.check(found["kept"][0] > 1000, "only %d records in the copy" % found["kept"][0])
    h.run([h.binary("kira"), "check", made[-1]])
    h.check(epoch(made[-1], "idle-0") > epoch(kirad.data_dir, "idle-0"), "the copy goes on in the epoch of what it was made of")
    h.say("result: %d copies under %d records, the slowest in %.1f s, while %d segments were deleted and %d rewritten; %d, %d and %d records read "
          "back" % (len(made), sum(l.sent for l in loads), max(took), deleted, rewritten, found["kept"][0],
                found["short"][0], found["squeezed"][0]))


h.main(body)
