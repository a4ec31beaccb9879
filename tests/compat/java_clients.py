#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# long: --kafka 3.9.1
# long: --kafka 4.1.0
# about: control storage tests/pipeline/harness.py
"""java_clients.py - Apache Kafka's own Java clients and tools: an idempotent producer and one that never retries, kirad
killed under both; consumers alone and in groups; the tools for groups, topics, offsets and records; its own test of
brokers. Jars come from Maven Central once, into build/java-VERSION. DescribeAcls is told to be missing:
where it comes, ClientCompatibilityTest fails here, and wants to be told otherwise."""
import argparse
import json
import os
import re
import shutil
import sys
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "pipeline"))
import harness as h

POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>kira</groupId><artifactId>java-clients</artifactId><version>1</version><dependencies>%s</dependencies></project>"""
DEPENDENCY = "<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>"
N, STEP, KILLS = 24000, 200, 12


class Tools:
    """The classes of one release, each by the last part of its name: packages differ between releases."""

    def __init__(self, version):
        for tool, package in (("java", "default-jre-headless"), ("mvn", "maven")):
            h.need(tool, package)
        self.jars = os.path.join(h.BUILD, "java-" + version)
        if not os.path.isdir(self.jars):
            self.fetch(version)
        self.classes = {}
        for jar in ("kafka_2.13", "kafka-tools"):
            for name in zipfile.ZipFile(os.path.join(self.jars, "%s-%s.jar" % (jar, version))).namelist():
                if re.match(r"(kafka|org/apache/kafka)/(tools|admin)/[\w/]+\.class$", name):
                    self.classes[os.path.basename(name)[:-6]] = name[:-6].replace("/", ".")

    def fetch(self, version):
        h.say("fetch Kafka %s from Maven Central" % version)
        work = h.temp_dir()
        with open(os.path.join(work, "pom.xml"), "w") as f:
            f.write(POM % "".join(DEPENDENCY % d for d in (
                ("org.apache.kafka", "kafka_2.13", version), ("org.apache.kafka", "kafka-tools", version),
                ("org.slf4j", "slf4j-simple", "1.7.36"))))
        code, out, err = h.run(["mvn", "-q", "-B", "-f", os.path.join(work, "pom.xml"), "dependency:copy-dependencies",
                                "-DexcludeArtifactIds=slf4j-reload4j,log4j-slf4j-impl",
                                "-DoutputDirectory=" + os.path.join(work, "jars")], seconds=400, ok=None)
        if code:
            h.skip("no jars of Kafka %s from Maven Central: %s" % (version, (out + err)[-500:]))
        shutil.move(os.path.join(work, "jars"), self.jars)

    def argv(self, name, *args):
        return ["nice", "-n", "10", "java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", self.jars + "/*", self.classes[name]] + list(args)

    def run(self, name, *args, ok=(0,)):
        """What it said on both streams: the tools choose freely, and exit 0 after many an error."""
        _, out, err = h.run(self.argv(name, *args), seconds=90, ok=ok)
        return out + err


def events(text, name):
    """The lines of a Verifiable client of that name; the last line may be half written."""
    found = []
    for line in text.splitlines():
        if line.startswith("{") and line.endswith("}"):
            event = json.loads(line)
            if event["name"] == name:
                found.append(event)
    return found


def expect(text, *patterns):
    for p in patterns:
        h.check(re.search(p, text), "no %r in: %s" % (p, text[-1500:]))


def produce(tools, kirad, where):
    """Acked is kept over kill -9 by both; the idempotent one stores every line, and once."""
    lines = ["line %d" % n for n in range(N)]
    read, write = os.pipe()
    idempotent = h.Process("ConsoleProducer", tools.argv(
        "ConsoleProducer", *where, "--topic", "lines", "--compression-codec", "lz4", "--message-send-max-retries", "100000",
        "--producer-property", "acks=all", "--producer-property", "enable.idempotence=true",
        "--producer-property", "linger.ms=5"), stdin=read)
    os.close(read)
    verifiable = h.Process("VerifiableProducer", tools.argv(
        "VerifiableProducer", *where, "--topic", "t", "--acks", "-1", "--throughput", "4000"))

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


def consume(tools, where, lines, acked):
    """ConsoleConsumer reads all there is; how many are in t."""
    stored = offsets(tools, where, "t")
    h.check(offsets(tools, where, "lines") == N, "GetOffsetShell does not count the %d lines" % N)
    found = {}
    for topic, count in (("lines", N), ("t", stored)):
        out = os.path.join(h.temp_dir(), topic)
        with open(out, "w") as f:
            h.run(tools.argv("ConsoleConsumer", *where, "--topic", topic, "--from-beginning", "--timeout-ms", "30000",
                             "--max-messages", str(count)), seconds=90, stdout_file=f)
        with open(out) as f:
            found[topic] = f.read().splitlines()
    differs = h.same_multiset([x.encode() for x in lines], [x.encode() for x in found["lines"]])
    h.check(not differs, "lines of the idempotent producer: %s" % differs)
    h.check(acked <= set(found["t"]), "acked, but not stored: %s .." % sorted(acked - set(found["t"]))[:3])
    h.say("ConsoleConsumer finds every line once, and all that was acked")
    return stored


def groups(tools, where, stored):
    def member():
        return h.Process("VerifiableConsumer", tools.argv(
            "VerifiableConsumer", *where, "--topic", "t", "--group-id", "g", "--reset-policy", "earliest"))

    def owns(process):
        changes = events(process.output(), "partitions_assigned") + events(process.output(), "partitions_revoked")
        last = max(changes, key=lambda e: e["timestamp"], default=None)
        return len(last["partitions"]) if last and last["name"] == "partitions_assigned" else 0

    def counted(*processes):
        return sum(e["count"] for p in processes for e in events(p.output(), "records_consumed"))

    def tool(*args):
        return tools.run("ConsumerGroupCommand", *where, *args)
    one, two = member(), member()
    h.until(lambda: owns(one) == owns(two) == 2 and counted(one, two) >= stored, 60, "two members share four partitions")
    text = tool("--group", "g", "--describe", "--members", "--verbose")
    h.check(len(re.findall(r"^g .*consumer-g.* 2 +\S", text, re.M)) == 2, "--members: " + text)
    expect(tool("--group", "g", "--delete"), "GroupNotEmpty")
    expect(tool("--group", "g", "--reset-offsets", "--topic", "t", "--to-earliest", "--execute"), "current state is Stable")
    one.term()
    h.until(lambda: owns(two) == 4, 30, "the member that stays has all four")
    two.term()
    text = tool("--group", "g", "--describe")
    rows = re.findall(r"^g +t +\d+ +(\d+) +(\d+) +0 ", text, re.M)
    h.check(sum(int(a) for a, _ in rows) == sum(int(b) for _, b in rows) == stored, "--describe: " + text)
    expect(tool("--group", "g", "--describe", "--state"), r"Empty +0")
    expect(tool("--list"), r"(?m)^g$")
    tool("--group", "g", "--reset-offsets", "--topic", "t", "--to-earliest", "--execute")
    third = h.Process("VerifiableConsumer", tools.argv(
        "VerifiableConsumer", *where, "--topic", "t", "--group-id", "g", "--group-instance-id", "i", "--max-messages", str(stored),
        "--assignment-strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor"))
    h.check(third.wait(60) == 0 and counted(third) == stored, "after --reset-offsets %d of %d came" % (counted(third), stored))

    # A static member stays when it closes, until its session ends.
    def deleted():
        return re.search("was successful", tool("--group", "g", "--delete"))
    tool("--group", "g", "--delete-offsets", "--topic", "t")
    h.until(deleted, 90, "the group is deleted")
    h.check(not re.search(r"(?m)^g$", tool("--list")), "a deleted group is listed")
    h.say("groups: shared, taken over, described, set back, read again, deleted")


def administer(tools, where):
    tools.run("TopicCommand", *where, "--create", "--topic", "t2", "--partitions", "4", "--config", "retention.ms=60000")
    expect(tools.run("TopicCommand", *where, "--list"), r"(?m)^t2$")
    tools.run("TopicCommand", *where, "--delete", "--topic", "t2")
    h.check(not re.search(r"(?m)^t2$", tools.run("TopicCommand", *where, "--list")), "a deleted topic is listed")
    request = os.path.join(h.temp_dir(), "delete.json")
    with open(request, "w") as f:
        json.dump({"version": 1, "partitions": [{"topic": "t", "partition": p, "offset": -1} for p in range(4)]}, f)
    h.check(offsets(tools, where, "t", "--time", "earliest") == 0, "t does not begin at 0")
    tools.run("DeleteRecordsCommand", *where, "--offset-json-file", request)
    end = offsets(tools, where, "t")
    h.check(end and offsets(tools, where, "t", "--time", "earliest") == end, "not all records were deleted")
    expect(tools.run("BrokerApiVersionsCommand", *where), r"Fetch\(1\): 4 to \d+ \[usable: \d+\]")
    expect(tools.run("ProducerPerformance", "--topic", "t", "--num-records", "10", "--record-size", "100", "--throughput", "-1",
                     "--transactional-id", "x", "--transaction-duration-ms", "100", "--producer-props",
                     "bootstrap.servers=" + where[1], ok=(1,)), "TransactionalIdAuthorizationException")
    options = {"offsets-for-times-supported": "true", "cluster-id-supported": "true", "expect-record-too-large-exception": "false",
               "num-cluster-nodes": "1", "create-topics-supported": "true", "idempotent-producer-supported": "true",
               "describe-acls-supported": "false", "describe-configs-supported": "true"}
    expect(tools.run("ClientCompatibilityTest", *where, "--topic", "compat",
                     *(x for name, value in options.items() for x in ("--" + name, value))), "SUCCESS")
    h.say("topics, offsets, records; transactions are refused; ClientCompatibilityTest: SUCCESS")


def body():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kafka", default="3.9.1", help="release of the clients")
    release = parser.parse_args().kafka
    tools = Tools(release)
    kirad = h.Kirad(extra=["--num-partitions", "4", "--group-initial-rebalance-delay-ms", "0"]).start()
    where = ("--bootstrap-server", kirad.bootstrap)
    lines, acked = produce(tools, kirad, where)
    stored = consume(tools, where, lines, acked)
    groups(tools, where, stored)
    administer(tools, where)
    kirad.stop()
    h.say("result: Kafka %s: %d lines idempotent, %d acked records, %d x kill -9" % (release, N, len(acked), KILLS))


h.main(body)
