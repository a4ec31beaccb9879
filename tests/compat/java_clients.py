#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# long: --kafka 3.9.1
# long: --kafka 4.1.0
# about: control storage tests/pipeline/harness.py
"""java_clients.py - Apache Kafka's own Java clients and tools: an idempotent producer and one that never retries, kirad
killed under both; consumers alone and in groups; the tools for groups, topics, configurations, offsets, records, directories;
its own test of brokers, with every feature expected. Jars come from Maven Central once, into build/java-VERSION."""
import argparse
import json
import os
import re
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "pipeline")]
import cells
import harness as h
from java_tools import Tools, events, expect

N, STEP, KILLS = 24000, 200, 12


def produce(tools, kirad, where):
    """Acked is kept over kill -9 by both; the idempotent one stores every line, and once."""
    lines = ["line %d" % n for n in range(N)]
    read, write = os.pipe()
    idempotent = tools.start(
        "ConsoleProducer", *where, "--topic", "lines", "--compression-codec", "lz4", "--message-send-max-retries", "100000",
        "--producer-property", "acks=all", "--producer-property", "enable.idempotence=true",
        "--producer-property", "linger.ms=5", stdin=read)
    os.close(read)
    verifiable = tools.start("VerifiableProducer", *where, "--topic", "t", "--acks", "-1", "--throughput", "4000")

    def acked():
        return events(verifiable.output(), "producer_send_success")
    with os.fdopen(write, "w") as pipe:
        for n in range(0, N, STEP):
            pipe.writelines(x + "\n" for x in lines[n:n + STEP])
            pipe.flush()
            if not kirad.lives():
                kirad.start()
            before = len(verifiable.output())
            h.until(lambda: len(verifiable.output()) > before, 60, "the other producer goes on")
            if n % (N // KILLS) == 0:   # lines are on their way, and more come while nobody listens
                kirad.kill9()
    h.check(idempotent.wait(90) == 0, "ConsoleProducer ended with %s" % idempotent.poll())
    h.check("ERROR" not in idempotent.output(), "ConsoleProducer lost a line")
    verifiable.term()
    failed = len(events(verifiable.output(), "producer_send_error"))
    h.say("%d lines idempotent, %d acked and %d failed without retries, over %d x kill -9" % (
        N, len(acked()), failed, KILLS))
    return lines, {e["value"] for e in acked()}


def offsets(tools, where, topic, *args):
    return sum(int(x) for x in re.findall(r"^%s:\d+:(\d+)$" % topic,
                                          tools.run("GetOffsetShell", *where, "--topic", topic, *args), re.M))


def read(tools, where, topic, count):
    out = os.path.join(h.temp_dir(), topic)
    with open(out, "w") as f:
        h.run(tools.argv("ConsoleConsumer", *where, "--topic", topic, "--from-beginning", "--timeout-ms", "30000",
                         "--max-messages", str(count)), seconds=90, stdout_file=f)
    with open(out) as f:
        return f.read().splitlines()


def consume(tools, where, lines, acked):
    """ConsoleConsumer reads all there is; how many are in t."""
    stored = offsets(tools, where, "t")
    h.check(offsets(tools, where, "lines") == N, "GetOffsetShell does not count the %d lines" % N)
    differs = h.same_multiset([x.encode() for x in lines], [x.encode() for x in read(tools, where, "lines", N)])
    h.check(not differs, "lines of the idempotent producer: %s" % differs)
    found = set(read(tools, where, "t", stored))
    h.check(acked <= found, "acked, but not stored: %s .." % sorted(acked - found)[:3])
    h.say("ConsoleConsumer finds every line once, and all that was acked")
    return stored


def codecs(tools, where):
    """A topic that holds all of them, a thousand lines of each."""
    sent = []
    for codec in cells.CODEC:
        lines = ["%s %d" % (codec, n) for n in range(1000)]
        name = os.path.join(h.temp_dir(), codec)
        with open(name, "w") as f:
            f.writelines(x + "\n" for x in lines)
        with open(name) as f:
            h.run(tools.argv("ConsoleProducer", *where, "--topic", "codecs", "--compression-codec",
                             "none" if codec == "plain" else codec), seconds=90, stdin_file=f)
        sent += lines
    differs = h.same_multiset([x.encode() for x in sent], [x.encode() for x in read(tools, where, "codecs", len(sent))])
    h.check(not differs, "five codecs in one topic: %s" % differs)


def times(tools, where):
    middle = int(time.time() * 1000) + 100
    tools.run("ProducerPerformance", "--topic", "times", "--num-records", "10", "--record-size", "10", "--throughput", "-1",
              "--producer-props", "bootstrap.servers=" + where[1])
    h.until(lambda: time.time() * 1000 > middle, 5, "time passes")
    tools.run("ProducerPerformance", "--topic", "times", "--num-records", "7", "--record-size", "10", "--throughput", "-1",
              "--producer-props", "bootstrap.servers=" + where[1])
    found = [offsets(tools, where, "times", "--time", at) for at in ("earliest", "latest")]
    h.check(found == [0, 17], "earliest and latest: %s" % found)
    text = tools.run("GetOffsetShell", *where, "--topic", "times", "--time", "max-timestamp")
    h.check(re.search(r"(?m)^times:\d+:\d+$", text), "max-timestamp: " + text)
    early = offsets(tools, where, "times", "--time", "0")
    h.check(early == 0, "the first at or after 1970: %d" % early)
    h.check(not re.search(r"(?m)^times:\d+:\d+$", tools.run("GetOffsetShell", *where, "--topic", "times", "--time", str(1 << 50))),
            "an offset in the far future")


class Groups:
    def __init__(self, tools, where, stored):
        self.tools, self.where, self.stored = tools, where, stored

    def member(self, *more):
        return self.tools.start("VerifiableConsumer", *self.where, "--topic", "t", "--group-id", "g", *more)

    @staticmethod
    def owns(process):
        changes = events(process.output(), "partitions_assigned") + events(process.output(), "partitions_revoked")
        last = max(changes, key=lambda e: e["timestamp"], default=None)
        return len(last["partitions"]) if last and last["name"] == "partitions_assigned" else 0

    @staticmethod
    def counted(*processes):
        return sum(e["count"] for p in processes for e in events(p.output(), "records_consumed"))

    def tool(self, *args):
        return self.tools.run("ConsumerGroupCommand", *self.where, *args)

    def share(self):
        one, two = self.member("--reset-policy", "earliest"), self.member("--reset-policy", "earliest")
        h.until(lambda: self.owns(one) == self.owns(two) == 2 and self.counted(one, two) >= self.stored, 60,
                "two members share four partitions")
        text = self.tool("--group", "g", "--describe", "--members", "--verbose")
        h.check(len(re.findall(r"^g .*consumer-g.* 2 +\S", text, re.M)) == 2, "--members: " + text)
        expect(self.tool("--group", "g", "--delete"), "GroupNotEmpty")
        expect(self.tool("--group", "g", "--reset-offsets", "--topic", "t", "--to-earliest", "--execute"), "current state is Stable")
        one.term()
        h.until(lambda: self.owns(two) == 4, 30, "the member that stays has all four")
        two.term()

    def lags(self, *which):
        """(committed, end, lag) of topic t, summed, as --describe tells it."""
        text = self.tool(*which, "--describe")
        rows = re.findall(r"^g +t +\d+ +(\d+) +(\d+) +(\d+) ", text, re.M)
        h.check(len(rows) == 4, "--describe: " + text)
        return tuple(sum(int(r[i]) for r in rows) for i in range(3))

    def offsets(self):
        h.check(self.lags("--group", "g") == (self.stored, self.stored, 0), "after all was read: %s" % (self.lags("--group", "g"),))
        self.tool("--group", "g", "--reset-offsets", "--topic", "t", "--shift-by", "-10", "--execute")
        lags = self.lags("--all-groups")
        h.check(lags == (self.stored - 40, self.stored, 40), "ten set back in each of four: %s" % (lags,))
        expect(self.tool("--group", "g", "--reset-offsets", "--all-topics", "--to-latest", "--dry-run"), r"\bg +t +0 +\d+")
        h.check(self.lags("--group", "g") == lags, "--dry-run changed offsets")
        self.tool("--group", "g", "--reset-offsets", "--topic", "t", "--to-datetime", "2020-01-01T00:00:00.000", "--execute")
        h.check(self.lags("--group", "g") == (0, self.stored, self.stored), "set back to 2020: %s" % (self.lags("--group", "g"),))

    def static(self):
        third = self.member("--group-instance-id", "i", "--max-messages", str(self.stored), "--assignment-strategy",
                            "org.apache.kafka.clients.consumer.CooperativeStickyAssignor")
        h.check(third.wait(60) == 0 and self.counted(third) == self.stored,
                "after --reset-offsets %d of %d came" % (self.counted(third), self.stored))

    def administer(self):
        expect(self.tool("--list"), r"(?m)^g$")
        self.tool("--group", "g", "--delete-offsets", "--topic", "t")
        # A static member stays when it closes, until its session ends.
        h.until(lambda: re.search("was successful", self.tool("--group", "g", "--delete")), 90, "the group is deleted")
        h.check(not re.search(r"(?m)^g$", self.tool("--list")), "a deleted group is listed")


def topics(tools, where):
    tools.run("TopicCommand", *where, "--create", "--topic", "t2", "--partitions", "4", "--config", "retention.ms=60000")
    expect(tools.run("TopicCommand", *where, "--list"), r"(?m)^t2$")
    tools.run("TopicCommand", *where, "--create", "--topic", "t3")
    tools.run("TopicCommand", *where, "--delete", "--topic", "t3")
    h.check(not re.search(r"(?m)^t3$", tools.run("TopicCommand", *where, "--list")), "a deleted topic is listed")


def describe_topic(tools, where, made):
    h.check(all(made), "--create, --list, --delete or --alter failed")
    expect(tools.run("TopicCommand", *where, "--describe", "--topic", "t2"), r"PartitionCount: 8\s.*Configs:.*retention.ms=60000",
           r"Topic: t2\s+Partition: 7\s+Leader: \d+")


def partitions(tools, where):
    tools.run("TopicCommand", *where, "--alter", "--topic", "t2", "--partitions", "8")
    expect(tools.run("GetOffsetShell", *where, "--topic", "t2"), r"(?m)^t2:7:0$")


def configs(tools, where):
    topic = ("--entity-type", "topics", "--entity-name", "t2")
    expect(tools.run("ConfigCommand", *where, *topic, "--describe"), r"retention.ms=60000 .*DYNAMIC_TOPIC_CONFIG:retention.ms=60000")
    tools.run("ConfigCommand", *where, *topic, "--alter", "--add-config", "retention.ms=120000,segment.bytes=2097152")
    expect(tools.run("ConfigCommand", *where, *topic, "--describe"), "retention.ms=120000 ", "segment.bytes=2097152 ")
    tools.run("ConfigCommand", *where, *topic, "--alter", "--delete-config", "retention.ms")
    text = tools.run("ConfigCommand", *where, *topic, "--describe")
    h.check("retention.ms" not in text and "segment.bytes=2097152" in text, "after --delete-config: " + text)
    expect(tools.run("ConfigCommand", *where, *topic, "--alter", "--add-config", "no.such=1", ok=(0, 1)), "InvalidConfig|no.such")
    expect(tools.run("ConfigCommand", *where, *topic, "--describe", "--all"), r"max.message.bytes=\d+ .*sensitive=false")
    node = re.search(r"\(id: (\d+) rack", tools.run("BrokerApiVersionsCommand", *where)).group(1)
    expect(tools.run("ConfigCommand", *where, "--entity-type", "brokers", "--entity-name", node, "--describe", "--all"),
           r"(?m)^ +\S+=.* sensitive=false")


def records(tools, where):
    request = os.path.join(h.temp_dir(), "delete.json")
    with open(request, "w") as f:
        json.dump({"version": 1, "partitions": [{"topic": "t", "partition": p, "offset": -1} for p in range(4)]}, f)
    h.check(offsets(tools, where, "t", "--time", "earliest") == 0, "t does not begin at 0")
    tools.run("DeleteRecordsCommand", *where, "--offset-json-file", request)
    end = offsets(tools, where, "t")
    h.check(end and offsets(tools, where, "t", "--time", "earliest") == end, "not all records were deleted")


def directories(tools, where):
    text = tools.run("LogDirsCommand", *where, "--describe", "--topic-list", "lines")
    found = json.loads(re.search(r"(?m)^\{.*$", text).group(0))
    sizes = {p["partition"]: p["size"] for d in found["brokers"][0]["logDirs"] for p in d["partitions"]}
    h.check(set(sizes) == {"lines-%d" % p for p in range(4)} and all(sizes.values()), "LogDirsCommand: " + text[-800:])


def versions(tools, where):
    expect(tools.run("BrokerApiVersionsCommand", *where), r"Fetch\(1\): 4 to \d+ \[usable: \d+\]")


def transactions(tools, where):
    expect(tools.run("ProducerPerformance", "--topic", "t", "--num-records", "10", "--record-size", "100", "--throughput", "-1",
                     "--transactional-id", "x", "--transaction-duration-ms", "100", "--producer-props",
                     "bootstrap.servers=" + where[1], ok=(1,)), "TransactionalIdAuthorizationException")


def compatibility(tools, where):
    options = {"offsets-for-times-supported": "true", "cluster-id-supported": "true", "expect-record-too-large-exception": "false",
               "num-cluster-nodes": "1", "create-topics-supported": "true", "idempotent-producer-supported": "true",
               "describe-acls-supported": "true", "describe-configs-supported": "true"}
    expect(tools.run("ClientCompatibilityTest", *where, "--topic", "compat",
                     *(x for name, value in options.items() for x in ("--" + name, value))), "SUCCESS")


def body():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kafka", default="3.9.1", help="release of the clients")
    release = parser.parse_args().kafka
    single = {"ConsoleConsumer": None, "GetOffsetShell": None, "ConsumerGroupCommand": None, "TopicCommand": None,
              "ConfigCommand": configs, "DeleteRecordsCommand": records, "LogDirsCommand": directories,
              "BrokerApiVersionsCommand": versions, "ClientCompatibilityTest": compatibility}
    java = cells.Client("Java " + release, *cells.CODEC.values(), cells.KILLED, cells.TIMES, cells.GROUPS, cells.RESET, cells.STATIC,
                        cells.GROUP_ADMIN, cells.TOPICS, cells.PARTITIONS, cells.CONFIGS, cells.RECORDS, cells.TRANSACTIONS,
                        "ConsoleProducer", *single)
    tools = Tools(release)
    kirad = h.Kirad(extra=["--num-partitions", "4", "--group-initial-rebalance-delay-ms", "0"]).start()
    where = ("--bootstrap-server", kirad.bootstrap)
    lines, acked = java.attempt(cells.KILLED, produce, tools, kirad, where) or ([], set())
    h.check(lines, "nothing to go on with")
    stored = java.attempt("ConsoleConsumer", consume, tools, where, lines, acked)
    if java.attempt("ConsoleProducer", codecs, tools, where):
        java.passed(*cells.CODEC.values())
    if java.attempt(cells.TIMES, times, tools, where):
        java.passed("GetOffsetShell")
    g = Groups(tools, where, stored)
    steps = [java.attempt(feature, step) for feature, step in (
        (cells.GROUPS, g.share), (cells.RESET, g.offsets), (cells.STATIC, g.static), (cells.GROUP_ADMIN, g.administer))]
    if all(steps):
        java.passed("ConsumerGroupCommand")
    made = [java.attempt(feature, step, tools, where) for feature, step in ((cells.TOPICS, topics), (cells.PARTITIONS, partitions))]
    java.attempt("TopicCommand", describe_topic, tools, where, made)
    java.attempt(cells.TRANSACTIONS, transactions, tools, where)
    for name, step in single.items():
        if step and java.attempt(name, step, tools, where):
            java.passed({"ConfigCommand": cells.CONFIGS, "DeleteRecordsCommand": cells.RECORDS}.get(name, name))
    kirad.stop()
    cells.check()
    h.say("result: Kafka %s: %d lines idempotent, %d acked records, %d x kill -9" % (release, N, len(acked), KILLS))


h.main(body)
