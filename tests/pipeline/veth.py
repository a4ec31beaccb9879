#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --device afpacket --clients
# quick: --device afxdp
# quick: --device tap
# quick: --device afpacket --ipv6
# quick: --device afxdp --ipv6 --records 200000
# needs: root
# timeout: 240
"""veth.py - a million lines through kernel sockets, DPDK and back, between two network namespaces.

`seq 1 N | kira produce --topic t --acks log --transport udp` in one namespace, kirad on afpacket:, afxdp:
or tap: in the other, the Kafka port on a second veth pair. kcat must give the input back, in order (one
partition), and kirad's own count of records stored from UDP must be N; with --clients python3-confluent-kafka
and python3-kafka read it back, too. Both ends answer to addresses made here; no route leads out."""
import argparse
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h


def clients_read(kirad, netns, topic, sent, tmp):
    """Both Python clients give the same lines as kcat."""
    reader = os.path.join(h.ROOT, "tests", "compat", "read_lines.py")
    for client in ("confluent", "kafka-python"):
        got = os.path.join(tmp, client)
        started = time.monotonic()
        with open(got, "wb") as f:
            code, _, err = h.run([sys.executable, reader, client, kirad.bootstrap, topic], netns=netns, stdout_file=f,
                                 seconds=150, ok=(0, 77))
        if code == 77:
            h.skip(err.strip().splitlines()[-1])
        code, out, _ = h.run(["cmp", sent, got], ok=None)
        h.check(code == 0, "%s reads something else: %s" % (client, out))
        h.say("%s reads the same, in %.1f s" % (client, time.monotonic() - started))


def body():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--device", choices=("afpacket", "afxdp", "tap"), required=True)
    args.add_argument("--ipv6", action="store_true")
    args.add_argument("--records", type=int, default=1000000)
    args.add_argument("--clients", action="store_true", help="both Python clients read it, too")
    args = args.parse_args()
    kcat = h.need("kcat", "kcat")
    kira = h.binary("kira")
    ns = h.Namespaces()
    if args.ipv6:
        data, peer, kafka, kafka_peer = "fd00:77::1/64", "fd00:77::2/64", "fd00:78::1/64", "fd00:78::2/64"
    else:
        data, peer, kafka, kafka_peer = "10.77.0.1/24", "10.77.0.2/24", "10.78.0.1/24", "10.78.0.2/24"
    kernel_has = data if args.device == "afpacket" else None    # afxdp, tap: kirad answers ARP and ND itself
    ns.join("kafka0", "kafka1", kafka, kafka_peer)
    listen = ("[%s]:0" if args.ipv6 else "%s:0") % kafka.split("/")[0]
    client_ns = ns.client
    if args.device == "tap":
        # kirad makes the interface; the kernel of its own namespace is the peer.
        kirad = h.Kirad(device="tap:kiratap0", netns=ns.server, listen=listen, extra=["--address", data]).start()
        h.run(["ip", "-n", ns.server, "addr", "add", peer, "dev", "kiratap0"] + (["nodad"] if args.ipv6 else []))
        h.run(["ip", "-n", ns.server, "link", "set", "kiratap0", "up"])
        client_ns = ns.server
    else:
        ns.join("data0", "data1", kernel_has, peer)
        kirad = h.Kirad(device="%s:data0" % args.device, netns=ns.server, listen=listen,
                        extra=["--address", data]).start()
    h.say("kirad serves kafka=%s on %s:" % (kirad.bootstrap, args.device))

    ping = ["ping", "-c", "1", "-W", "5", data.split("/")[0]]
    if args.device != "afpacket" and h.shutil.which("ping"):
        h.run(ping, netns=client_ns, seconds=20)
        h.say("ping is answered")
    tmp = h.temp_dir()
    sent = os.path.join(tmp, "sent")
    with open(sent, "w") as f:
        f.write("".join("%d\n" % n for n in range(1, args.records + 1)))
    started = time.monotonic()
    with open(sent) as f:
        _, _, err = h.run([kira, "produce", "--bootstrap", kirad.bootstrap, "--topic", "t", "--acks", "log",
                           "--transport", "udp", "--udp-address", peer.split("/")[0]],
                          netns=client_ns, stdin_file=f, seconds=150)
    took = time.monotonic() - started
    h.say("produced %d records in %.1f s: %s" % (args.records, took, err.strip().splitlines()[-1:]))
    h.check(re.search(r"\budp\b", err), "the closing line does not name the transport udp: %s" % err)

    got = os.path.join(tmp, "got")
    with open(got, "w") as f:
        h.run([kcat, "-b", kirad.bootstrap, "-C", "-t", "t", "-o", "beginning", "-e", "-q", "-X", "check.crcs=true"],
              netns=client_ns, stdout_file=f, seconds=120)
    code, out, _ = h.run(["cmp", sent, got], ok=None)
    h.check(code == 0, "what came back differs from what was sent: %s" % out)
    h.say("kcat gives the input back")
    stored = kirad.count("udp_records", "store")
    h.check(stored == args.records, "kirad counts %d records stored from UDP, sent were %d" % (stored, args.records))
    h.check(kirad.count("tcp_records", "store") == 0, "records came over TCP")
    h.say("drops: %s" % (kirad.drops() or "none"))
    if args.clients:
        clients_read(kirad, client_ns, "t", sent, tmp)
    kirad.stop()
    h.say("result: device %s, %s, records %d, stored from UDP %d, seconds %.1f" % (
        args.device, "IPv6" if args.ipv6 else "IPv4", args.records, stored, took))


h.main(body)
