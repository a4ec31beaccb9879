#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# needs: clients
# timeout: 240
"""hang.py - the flush daemon stands still (its thread is stopped by ptrace): no `disk` ack comes, `log` acks do,
fetches go on, log and `kira stat` say DEGRADED; let go, what waited is acked and the line is taken back. Then no
call on the disk returns (the job threads are stopped) while kirad stops: it says what it waits for, and ends
cleanly once they do."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h
import standstill


def ends_while_the_disk_hangs(kirad):
    jobs = [standstill.Thread(kirad.pid, "kira-job-%d" % i) for i in range(5)]
    for job in jobs:
        job.stop()
    kirad.process.popen.terminate()
    h.until(lambda: "stop: for 5 s waiting for the disk of %s" % kirad.data_dir in kirad.process.output(), 40,
            "the line that says what the stop waits for")
    h.check(kirad.process.poll() is None, "kirad ended though its disk hangs")
    for job in jobs:
        job.go_on()
    kirad.stop()
    h.check("stop: the disk answered after" in kirad.process.output(), "no line says that the disk answered")


def body():
    confluent = h.need_module("confluent_kafka", "python3-confluent-kafka")
    kirad = h.Kirad(extra=["--flush-ms", "100"]).start()
    acked = {"1": 0, "all": 0}
    producers = {}
    for acks in acked:
        producers[acks] = confluent.Producer({"bootstrap.servers": kirad.bootstrap, "acks": acks, "linger.ms": 0,
                                              "message.timeout.ms": 100000, "request.timeout.ms": 60000,
                                              "log_level": 2})

    def send(acks):
        def done(err, _):
            h.check(err is None, "a record with acks=%s failed: %s" % (acks, err))
            acked[acks] += 1
        producers[acks].produce("hang", b"x" * 100, on_delivery=done)

    def acked_within(acks, n, seconds):
        end = time.monotonic() + seconds
        while acked[acks] < n and time.monotonic() < end:
            producers[acks].poll(0.05)
        return acked[acks] >= n
    send("1")
    send("all")
    h.check(acked_within("1", 1, 20) and acked_within("all", 1, 20), "no ack before anything happened")
    flush = standstill.Thread(kirad.pid, "kira-flush")
    flush.stop()
    stopped = time.monotonic()
    h.say("the flush daemon's thread stands still")
    send("all")
    send("1")
    h.check(acked_within("1", 2, 20), "a `log` ack did not come")
    h.until(lambda: "DEGRADED: nothing has become durable" in kirad.process.output(), 30, "the line DEGRADED")
    took = time.monotonic() - stopped
    h.check(took >= 4.5, "degraded after %.1f s" % took)
    h.until(lambda: kirad.count("degraded_s") >= 5, 10, "the counter degraded_s")
    _, out, _ = h.run([h.binary("kira"), "stat", "--data-dir", kirad.data_dir])
    h.check("DEGRADED" in out.splitlines()[1], "kira stat does not say so: %s" % out[:200])
    h.check(not acked_within("all", 2, 2), "a `disk` ack, and nobody synced")
    consumer = confluent.Consumer({"bootstrap.servers": kirad.bootstrap, "group.id": "x", "enable.auto.commit": False, "log_level": 2})
    consumer.assign([confluent.TopicPartition("hang", 0, 0)])
    got = 0
    end = time.monotonic() + 20
    while got < 4 and time.monotonic() < end:
        message = consumer.poll(1)
        got += message is not None and message.error() is None
    consumer.close()
    h.check(got == 4, "a consumer got %d of 4 records meanwhile" % got)
    flush.go_on()
    h.check(acked_within("all", 2, 20), "what waited was not acked")
    h.until(lambda: "no longer degraded" in kirad.process.output(), 10, "the line that takes it back")
    h.until(lambda: kirad.count("degraded_s") == 0, 10, "degraded_s goes back to 0")
    send("1")
    h.check(acked_within("1", 3, 20), "a `log` ack did not come")
    ends_while_the_disk_hangs(kirad)
    h.say("result: DEGRADED after %.1f s, 0 disk acks meanwhile" % took)


h.main(body)
