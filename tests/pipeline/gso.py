#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# long: --seconds 20
# about: include dataplane/client dataplane/rx_parse.c dataplane/nic.c tests/pipeline/gso_cost.c
# needs: root
# timeout: 240
"""gso.py - bursts that the kernel is handed whole (UDP GSO): used where they arrive, given up where they do not.

An AF_PACKET socket on a veth pair is given such a burst uncut, and the driver shortens it to a frame. There libkira must
lose two bursts, see that no datagram behind their first is answered while others are, make no more, and have all records
stored. A tap and AF_XDP get datagrams: there bursts must go on. Last, what a datagram costs the sender either way."""
import argparse
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h

RECORDS = 300000
DATA, PEER = "10.77.0.1/24", "10.77.0.2/24"
SWALLOWED = "(no more: the path swallows them)"


def produce(kirad, netns, *more):
    """(bursts, given up) of kira produce; all records must be stored from UDP."""
    before = kirad.count("udp_records", "store")
    lines = "".join("%d\n" % n for n in range(RECORDS)).encode()
    _, _, err = h.run([h.binary("kira"), "produce", "--bootstrap", kirad.bootstrap, "--topic", "t", "--transport", "udp",
                       "--udp-address", PEER.split("/")[0], *more], netns=netns, stdin=lines, seconds=60)
    closing = err.strip().splitlines()[-1]
    stored = kirad.count("udp_records", "store") - before
    h.check(stored == RECORDS, "%d records stored from UDP, sent were %d: %s" % (stored, RECORDS, closing))
    found = re.search(r", (\d+) bursts", closing)
    return int(found.group(1)) if found else 0, SWALLOWED in closing


def on(ns, device, more=()):
    """What became of bursts over that device: (bursts, given up, kirad)."""
    listen = "10.78.0.1:0"
    if device == "tap":
        kirad = h.Kirad(device="tap:kiratap1", netns=ns.server, listen=listen, extra=["--address", DATA]).start()
        h.run(["ip", "-n", ns.server, "addr", "add", PEER, "dev", "kiratap1"])
        h.run(["ip", "-n", ns.server, "link", "set", "kiratap1", "up"])
        netns = ns.server
    else:
        ns.join("data0", "data1", DATA if device == "afpacket" else None, PEER)
        kirad = h.Kirad(device="%s:data0" % device, netns=ns.server, listen=listen, extra=["--address", DATA]).start()
        netns = ns.client
    bursts, given_up = produce(kirad, netns, *more)
    runts = kirad.drops().get("drop_runt", 0)
    h.say("%s: %d bursts%s, cut short at kirad: %d" % (device, bursts, ", given up" if given_up else "", runts))
    return bursts, given_up, runts, kirad, netns


def swallowed(ns):
    bursts, given_up, runts, kirad, netns = on(ns, "afpacket")
    h.check(bursts == 2 and given_up, "afpacket on veth swallows bursts: %d were made, given up: %s" % (bursts, given_up))
    h.check(runts == 2, "both bursts should have arrived cut short; runts: %d" % runts)
    bursts, given_up = produce(kirad, netns, "--no-gso")
    h.check(bursts == 0 and not given_up, "--no-gso makes bursts")
    kirad.stop()
    h.run(["ip", "-n", ns.server, "link", "del", "data0"])


def carried(ns, device):
    bursts, given_up, _, kirad, _ = on(ns, device)
    h.check(bursts > 10 and not given_up, "%s carries bursts: %d were made, given up: %s" % (device, bursts, given_up))
    kirad.stop()
    return bursts


def cost(ns, seconds):
    """{who cuts: (plain ns, burst ns)}; the packets end in the other namespace, where nobody has that address."""
    found = {}
    h.run(["ip", "-n", ns.server, "link", "add", "cost0", "type", "veth", "peer", "name", "cost1", "netns", ns.client])
    for name, dev, address in ((ns.server, "cost0", "10.79.0.1/24"), (ns.client, "cost1", "10.79.0.2/24")):
        h.run(["ip", "-n", name, "addr", "add", address, "dev", dev])
        h.run(["ip", "-n", name, "link", "set", dev, "up"])
    _, out, _ = h.run(["ip", "-n", ns.server, "-o", "link", "show", "cost0"])
    mac = re.search(r"link/ether (\S+)", out).group(1)
    h.run(["ip", "-n", ns.client, "neigh", "add", "10.79.0.9", "lladdr", mac, "dev", "cost1"])
    for who, gso in (("nobody", "on"), ("the kernel", "off")):
        h.run(["ethtool", "-K", "cost1", "tx-udp-segmentation", gso], netns=ns.client)
        _, out, _ = h.run([os.path.join(h.BUILD, "tests", "pipeline", "gso_cost"), "10.79.0.9", "9104", "1472", str(seconds)],
                          netns=ns.client, seconds=60 + seconds)
        plain, burst = (int(x) for x in re.search(r"plain (\d+) burst (\d+)", out).groups())
        h.say("a datagram of 1,472 bytes, cut by %s: %d ns by itself, %d ns in a burst" % (who, plain, burst))
        found[who] = plain, burst
    return found


def body():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--seconds", type=int, default=1, help="of each measurement")
    args = args.parse_args()
    h.need("ethtool", "ethtool")
    ns = h.Namespaces()
    ns.join("kafka0", "kafka1", "10.78.0.1/24", "10.78.0.2/24")
    swallowed(ns)
    bursts = carried(ns, "tap"), carried(ns, "afxdp")
    ns_of = cost(ns, args.seconds)
    for who, (plain, burst) in ns_of.items():
        h.check(burst < 0.8 * plain, "cut by %s, a datagram costs %d ns in a burst, %d by itself" % (who, burst, plain))
    h.say("result: records %d each; afpacket 2 bursts and given up, tap %d bursts, afxdp %d; ns a datagram by itself and in a burst: "
          "%d and %d where nobody cuts, %d and %d where the kernel does" % ((RECORDS,) + bursts + ns_of["nobody"]
                                                                        + ns_of["the kernel"]))


h.main(body)
