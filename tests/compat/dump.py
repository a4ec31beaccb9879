#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# needs: clients
# timeout: 540
"""dump.py - sealed segments and their indexes pass Apache Kafka's DumpLogSegments.

Fills topics of several kinds with small segments over TCP (plain, LZ4, idempotent) and over memif, stops
kirad cleanly, and hands the directories to scripts/compat.sh."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "pipeline"))
import harness as h


def body():
    h.need("mvn", "maven (with a JDK)")
    kcat = h.need("kcat", "kcat")
    kirad = h.Kirad(device="memif:%s/m.sock" % h.temp_dir(), extra=[
        "--num-partitions", "2", "--topic-default", "segment.bytes=1048576"]).start()
    for topic, options in {"plain": [], "lz4": ["-z", "lz4"], "idem": ["-X", "enable.idempotence=true"]}.items():
        lines = "".join("%s line %d %s\n" % (topic, n, "abcdefgh" * (n % 20)) for n in range(60000))
        h.run([kcat, "-b", kirad.bootstrap, "-P", "-t", topic] + options, stdin=lines.encode())
    h.say("filled over TCP")
    h.run([h.binary("kira-blast"), "--bootstrap", kirad.bootstrap, "--device", kirad.device, "--topic", "blast",
           "--partitions", "2", "--seconds", "1", "--rate", "200000", "--record", "200", "--batch", "1400",
           "--sessions", "2", "--acks", "log", "--cpus", h.cpu_list(1), "--transport", "udp", "--json"], seconds=120)
    h.say("filled over memif")
    kirad.stop()
    _, out, _ = h.run([os.path.join(h.ROOT, "scripts", "compat.sh"), kirad.data_dir], seconds=480, ok=(0, 77))
    print(out, flush=True)
    last = out.strip().splitlines()[-1] if out.strip() else ""
    if last.startswith("skipped: "):
        h.skip(last[9:])
    h.say("result: %s" % last)


h.main(body)
