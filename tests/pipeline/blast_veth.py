#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --device afpacket
# quick: --device afxdp
# needs: root
# timeout: 240
"""blast_veth.py - kira-blast and kirad over a veth pair between two namespaces, both on the same kind of
port: what was acked is in the topic, once, in order. Here the kernel loses frames by itself."""
import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import blasting as b
import harness as h

SERVER, CLIENT, KAFKA = "10.77.0.1/24", "10.77.0.2/24", "10.88.0.1"


def body():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--device", choices=("afpacket", "afxdp"), default="afpacket")
    args = args.parse_args()
    h.need("ethtool", "ethtool")
    ns = h.Namespaces()
    # On afpacket the address is the interface's own; on afxdp the kernel has none on it.
    ns.join("data", "data", SERVER if args.device == "afpacket" else None, None)
    ns.join("kafka", "kafka", KAFKA + "/24", "10.88.0.2/24")
    for side in (ns.server, ns.client):
        h.run(["ethtool", "-K", "data", "tx", "off"], netns=side, ok=None)
    kirad = h.Kirad(device=args.device + ":data", listen=KAFKA + ":0", netns=ns.server,
                    extra=["--address", SERVER, "--topic-default", "segment.bytes=33554432"]).start()
    got = b.blast(kirad, "t", netns=ns.client, address=CLIENT, partitions=2, sessions=2, seconds=3, max_bytes="500m",
                  acks="log", device=args.device + ":data")
    b.good(got)
    h.check(got["records_acked"] == got["records_sent"] == got["records_read"], "counts differ: %s" % got)
    h.check(kirad.lives(), "kirad ended")
    kirad.stop()
    h.say("result: %s: %d records, %.0f records/s, p50 %s p99 %s us" % (
        args.device, got["records_acked"], got["records_acked"] / got["seconds"], got["ack_p50_us"], got["ack_p99_us"]))


h.main(body)
