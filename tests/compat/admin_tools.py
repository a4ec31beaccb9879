#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# long: --kafka 3.9.1
# long: --kafka 4.1.0
# about: control tests/pipeline/harness.py tests/compat/java_tools.py
# needs: clients
# timeout: 240
"""admin_tools.py - tools that ask for what Kira has only one answer to: access rules without an authorizer, elections,
reassignments; and those that look: topics in pages, producers of a partition. python3-kafka 2.0.2, and with --kafka
the tools of that release (java, maven)."""
import argparse
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "pipeline"))
import harness as h

LARGE = 2100     # partitions: more than one page of DescribeTopicPartitions


def python(kirad):
    kafka = h.need_module("kafka", "python3-kafka")
    from kafka import admin as a
    from kafka.errors import SecurityDisabledError
    admin = kafka.KafkaAdminClient(bootstrap_servers=kirad.bootstrap, request_timeout_ms=20000)
    some = a.ACLFilter("User:x", "*", a.ACLOperation.ANY, a.ACLPermissionType.ANY, a.ResourcePattern(a.ResourceType.TOPIC, "t"))
    rule = a.ACL("User:x", "*", a.ACLOperation.READ, a.ACLPermissionType.ALLOW, a.ResourcePattern(a.ResourceType.TOPIC, "t"))
    try:
        found, error = admin.describe_acls(some)
    except SecurityDisabledError:
        found, error = [], SecurityDisabledError
    h.check(found == [] and error is SecurityDisabledError, "describe_acls: %s %s" % (found, error))
    made = admin.create_acls([rule, rule])
    h.check(made["succeeded"] == [] and len(made["failed"]) == 2, "create_acls: %s" % made)
    gone = admin.delete_acls([some])
    h.check(len(gone) == 1 and gone[0][1] == [] and gone[0][2] is SecurityDisabledError, "delete_acls: %s" % gone)
    admin.close()
    return "access rules of python3-kafka refused with 54"


def java(kirad, release):
    from java_tools import Tools, expect
    tools, where = Tools(release), ("--bootstrap-server", kirad.bootstrap)
    h.run([h.binary("kira"), "topic", "create", "large", "--partitions", str(LARGE), "-b", kirad.bootstrap], seconds=90)
    h.run([h.binary("kira"), "topic", "create", "t", "--partitions", "2", "-b", kirad.bootstrap])
    text = tools.run("TopicCommand", *where, "--describe", "--topic", "large")
    told = [int(p) for p in re.findall(r"(?m)^\s*Topic: large\s+Partition: (\d+)\s+Leader: \d+", text)]
    h.check(told == list(range(LARGE)), "TopicCommand tells %d partitions of %d" % (len(told), LARGE))
    expect(tools.run("AclCommand", *where, "--list", ok=(0, 1)), "SecurityDisabledException|Security.*disabled|no authorizer")
    expect(tools.run("LeaderElectionCommand", *where, "--election-type", "preferred", "--topic", "t", "--partition", "1"),
           "Valid replica already elected|already elected")
    expect(tools.run("LeaderElectionCommand", *where, "--election-type", "preferred", "--topic", "t", "--partition", "7", ok=(0, 1)),
           "UnknownTopicOrPartition|unknown topic")
    expect(tools.run("LeaderElectionCommand", *where, "--election-type", "unclean", "--all-topic-partitions"), r"^\s*(\S.*log4j.*)?\s*$")
    expect(tools.run("ReassignPartitionsCommand", *where, "--list"), "No partition reassignments found")
    h.run(tools.argv("ConsoleProducer", *where, "--topic", "t", "--producer-property", "enable.idempotence=true"), seconds=90,
          stdin="".join("line %d\n" % n for n in range(100)).encode())
    sequences = []
    for p in range(2):
        text = tools.run("TransactionsCommand", *where, "describe-producers", "--topic", "t", "--partition", str(p))
        sequences += [int(x) for x in re.findall(r"(?m)^\s*\d+\s+0\s+-1\s+(\d+)\s+\d{13}\s+None\s*$", text)]
    h.check(sum(s + 1 for s in sequences) == 100, "describe-producers: last sequences %s\n%s" % (sequences, text))
    return "Kafka %s: %d partitions in pages, elections, reassignments, access rules, %d producers" % (
        release, LARGE, len(sequences))


def body():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kafka", help="release of the tools")
    release = parser.parse_args().kafka
    kirad = h.Kirad(extra=["--max-partitions", "5000"]).start()
    said = java(kirad, release) if release else python(kirad)
    kirad.stop()
    h.say("result: " + said)


h.main(body)
