#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --level log
# quick: --level disk --records 60000
# long: --level log --records 1000000 --kills 12 --seed {seed}
# long: --level disk --records 600000 --kills 12 --seed {seed}
# needs: root
# timeout: 180
"""kup_veth.py - a client written from PROTOCOL.md alone produces exactly once, in order, over a bad path and
through a kirad that is killed.

kup.py in one namespace, kirad on afpacket: in the other. Its wire loses, doubles and delays datagrams both ways;
kirad is killed with batches in flight and started again, and the same producer id goes on in a new session. kcat
must give every record once, in each partition's order."""
import argparse
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "pipeline"))
import harness as h

PARTITIONS = 3


def progress(client):
    """Records at their level, as far as the client has told."""
    told = re.findall(r"^at their level: (\d+)", client.output(), re.M)
    return int(told[-1]) if told else 0


def body():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--level", choices=("log", "disk"), required=True)
    args.add_argument("--records", type=int, default=100000)
    args.add_argument("--kills", type=int, default=1)
    args.add_argument("--loss", type=float, default=0.03)
    args.add_argument("--seed", type=int, default=int(time.time()))
    args = args.parse_args()
    h.say("seed %d" % args.seed)
    kcat = h.need("kcat", "kcat")
    ns = h.Namespaces()
    ns.join("kafka0", "kafka1", "10.78.0.1/24", "10.78.0.2/24")
    ns.join("data0", "data1", "10.77.0.1/24", "10.77.0.2/24")
    kirad = h.Kirad(device="afpacket:data0", netns=ns.server, listen="10.78.0.1:0",
                    extra=["--address", "10.77.0.1/24", "--num-partitions", str(PARTITIONS)]).start()
    tmp = h.temp_dir()
    sent = os.path.join(tmp, "sent")
    with open(sent, "w") as f:
        f.writelines("%d:%d\n" % (n % PARTITIONS, n) for n in range(args.records))
    with open(sent) as f:
        client = h.Process("kup", [sys.executable, os.path.join(HERE, "kup.py"), "--bootstrap", kirad.bootstrap, "--topic", "t",
                                   "--address", "10.77.0.2", "--level", args.level, "--loss", args.loss, "--dup", "0.03",
                                   "--reorder", "0.05", "--seed", args.seed], netns=ns.client, stdin=f)
    udp = 0
    for kill in range(args.kills):
        mark = args.records * (kill + 1) // (args.kills + 1)
        h.until(lambda: progress(client) >= mark or client.poll() is not None, 600, "%d records at their level" % mark)
        h.check(client.poll() is None, "kup.py ended before kirad was killed: %s" % client.output()[-300:])
        udp += kirad.count("udp_records", "store")
        kirad.kill9()
        kirad.start()
    h.say("kirad was killed %d times" % args.kills)
    code = client.wait(120 + args.records // 500)
    h.check(code == 0, "kup.py ended with %d" % code)
    done = client.output().strip().splitlines()[-1]
    h.say(done)
    counts = {k: int(v) for k, v in re.findall(r"([a-z ]+) (\d+)", done)}
    for fault in (" lost", " doubled", " reordered"):
        h.check(counts[fault] > 0, "the wire has%s nothing" % fault)
    h.check(counts[" sessions"] == args.kills + 1, "%d sessions for %d kills" % (counts[" sessions"], args.kills))
    h.check(counts[" sent again as new packets"] > 0, "no batch was in flight when kirad was killed")
    h.check(counts[" reset"] == 1, "CLOSE was not answered by RESET 1")
    udp += kirad.count("udp_records", "store")
    h.check(kirad.count("tcp_records", "store") == 0, "records came over TCP")
    for p in range(PARTITIONS):
        got = os.path.join(tmp, "got%d" % p)
        with open(got, "w") as f:
            h.run([kcat, "-b", kirad.bootstrap, "-C", "-t", "t", "-p", p, "-o", "beginning", "-e", "-q", "-X", "check.crcs=true"],
                  netns=ns.client, stdout_file=f, seconds=120)
        with open(got) as f:
            values = [int(v) for v in f]
        wanted = list(range(p, args.records, PARTITIONS))
        missing, doubled = len(set(wanted) - set(values)), len(values) - len(set(values))
        h.check(values == wanted, "partition %d: %d records missing, %d doubled, in order: %s" % (
            p, missing, doubled, values == sorted(values)))
    h.say("drops: %s" % (kirad.drops() or "none"))
    kirad.stop()
    h.say("result: %s, %d records once and in order, %d kills, %d batches sent again, %d of them there already; %d lost, %d doubled, "
          "%d reordered" % (args.level, args.records, args.kills, counts[" sent again as new packets"], counts[" already there"],
                            counts[" lost"], counts[" doubled"], counts[" reordered"]))


h.main(body)
