#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# long:
# about: control storage tests/pipeline/harness.py tests/compat/groups.py tests/compat/kafkajs.js
"""kafkajs.py - kafkajs 2.2.4 under node: records, offsets, consumer groups, administration (kafkajs.js). The package comes from
the npm registry once, into build/npm-kafkajs-2.2.4."""
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "pipeline")]
import cells
import groups
import harness as h

VERSION = "2.2.4"


def package():
    """The node_modules with it, fetched if it is not there."""
    for tool, name in (("node", "nodejs"), ("npm", "npm")):
        h.need(tool, name)
    place = os.path.join(h.BUILD, "npm-kafkajs-" + VERSION)
    if not os.path.isdir(os.path.join(place, "node_modules", "kafkajs")):
        h.say("fetch kafkajs %s from the npm registry" % VERSION)
        code, out, err = h.run(["npm", "install", "--silent", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts",
                                "--prefix", place, "kafkajs@" + VERSION], seconds=300, ok=None)
        if code:
            shutil.rmtree(place, True)
            h.skip("no kafkajs %s from the npm registry: %s" % (VERSION, (out + err)[-500:]))
    return os.path.join(place, "node_modules")


def body():
    kcat = h.need("kcat", "kcat")
    steps = {cells.IDEMPOTENT: "records", cells.TIMES: "offsets", cells.RESET: "commits", cells.GROUP_ADMIN: "groups",
             cells.TOPICS: "topics", cells.PARTITIONS: "partitions", cells.CONFIGS: "configs", cells.RECORDS: "deletion",
             cells.TRANSACTIONS: "transactions"}
    js = cells.Client(cells.KAFKAJS, cells.CODEC["plain"], cells.CODEC["gzip"], cells.GROUPS, *steps)
    os.environ["NODE_PATH"] = package()
    kirad = h.Kirad(extra=["--num-partitions", "4", "--group-initial-rebalance-delay-ms", "0"]).start()
    node = ["node", os.path.join(HERE, "kafkajs.js")]
    groups.Member.argv_of["kafkajs"] = lambda bootstrap, group, topic, session_ms: node + [
        "member", bootstrap, group, topic, str(session_ms)]
    for feature, step in steps.items():
        if js.attempt(feature, h.run, node + [step, kirad.bootstrap]) and step == "records":
            js.passed(cells.CODEC["plain"], cells.CODEC["gzip"])
    js.attempt(cells.GROUPS, groups.round_of, "kafkajs", kirad, kcat)
    kirad.stop()
    cells.check()
    h.say("result: kafkajs %s: %d features" % (VERSION, len(js.features)))


h.main(body)
