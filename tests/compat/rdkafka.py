#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# about: control storage tests/pipeline/harness.py tests/compat/groups.py tests/compat/rdkafka_client.c tests/compat/rdkafka_admin.c
# needs: clients
# timeout: 240
"""rdkafka.py - librdkafka by its C interface (rdkafka_client.c): every codec, an idempotent producer while kirad is killed,
offsets, groups, and each request of the administration."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "pipeline")]
import cells
import groups
import harness as h

N, LONG, KILLS = 10000, 60000, 4


def body():
    kcat = h.need("kcat", "kcat")
    program = os.path.join(h.BUILD, "tests", "compat", "rdkafka_client")
    h.check(os.access(program, os.X_OK), "%s is not built" % program)
    kirad = h.Kirad(extra=["--num-partitions", "3", "--group-initial-rebalance-delay-ms", "0"]).start()
    steps = {cells.TIMES: "times", cells.COMMITS: "commits", cells.RESET: "reset", cells.GROUP_ADMIN: "groups", cells.TOPICS: "topics",
             cells.PARTITIONS: "partitions", cells.CONFIGS: "configs", cells.RECORDS: "deletion", cells.TRANSACTIONS: "transactions"}
    c = cells.Client(cells.RDKAFKA, *cells.CODEC.values(), cells.KILLED, cells.GROUPS, *steps)

    def step(*words):
        h.run([program, kirad.bootstrap] + list(words))

    def there_and_back(codec):
        step("produce", "c-" + codec, "none" if codec == "plain" else codec, str(N))
        step("read", "c-" + codec, str(N))

    def killed():
        """It tells every 1,000 records that are delivered: a kill after each few of them."""
        producer = h.Process("producer", [program, kirad.bootstrap, "produce", "c-killed", "idempotent", str(LONG)])
        for n in range(KILLS):
            h.until(lambda: producer.output().count("\n") >= (n + 1) * LONG // 1000 // (KILLS + 1), 60, "more is delivered")
            h.check(producer.poll() is None, "all was sent before the last kill")
            kirad.kill9()
            kirad.start()
        h.check(producer.wait(120) == 0, "the producer: %s" % producer.output()[-300:])
        step("read", "c-killed", str(LONG))

    def commits():
        step("commits")
        kirad.kill9()
        kirad.start()
    for codec, feature in cells.CODEC.items():
        c.attempt(feature, there_and_back, codec)
    c.attempt(cells.KILLED, killed)
    for feature, name in steps.items():
        c.attempt(feature, *((commits,) if name == "commits" else (step, name)))
    groups.Member.argv_of["librdkafka"] = lambda bootstrap, group, topic, session_ms: [
        program, bootstrap, "member", group, topic, str(session_ms)]
    c.attempt(cells.GROUPS, groups.round_of, "librdkafka", kirad, kcat)
    kirad.stop()
    cells.check()
    h.say("result: librdkafka by its C interface: 5 codecs x %d records, %d idempotent over %d x kill -9, %d more features" % (
        N, LONG, KILLS, len(steps) + 1))


h.main(body)
