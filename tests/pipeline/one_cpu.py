#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# needs: clients
# timeout: 180
"""one_cpu.py - kirad with one CPU alone serves TCP and memif: everything yields, nothing starves.

kira-blast shares that CPU for three seconds; what it reports as acked is read back by kirad's own port."""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h


def body():
    kcat = h.need("kcat", "kcat")
    cpu = h.cpu_list(1)
    data = h.temp_dir()
    # The default device: memif with its socket in the data directory's run folder.
    kirad = h.Kirad(data_dir=data, device="memif:%s/m.sock" % h.temp_dir(), cpus=cpu).start()
    sent = "".join("%d\n" % n for n in range(50000))
    h.run([kcat, "-b", kirad.bootstrap, "-P", "-t", "one", "-z", "lz4"], stdin=sent.encode(), seconds=60)
    _, out, _ = h.run([kcat, "-b", kirad.bootstrap, "-C", "-t", "one", "-o", "beginning", "-e", "-q",
                       "-X", "check.crcs=true"], seconds=60)
    h.check(sorted(out.split()) == sorted(sent.split()), "kcat does not give the input back")
    h.say("TCP: 50000 records there and back on one CPU")
    _, out, _ = h.run([h.binary("kira-blast"), "--bootstrap", kirad.bootstrap, "--device", kirad.device, "--topic", "b",
                       "--partitions", "2", "--seconds", "3", "--record", "200", "--batch", "1400", "--sessions", "2",
                       "--acks", "log", "--cpus", cpu, "--transport", "udp", "--json"], seconds=120)
    report = json.loads(out.strip().splitlines()[-1])
    h.check(report["records_acked"] > 0, "nothing was acked: %s" % report)
    h.check(report["records_lost"] == 0 and report["records_duplicated"] == 0, "lost or doubled: %s" % report)
    h.check(kirad.lives(), "kirad ended")
    kirad.stop()
    h.say("result: one CPU, memif: %d records acked in %.1f s, lost 0, doubled 0, p99 %s us" % (
        report["records_acked"], report["seconds"], report["ack_p99_us"]))


h.main(body)
