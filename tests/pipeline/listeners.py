#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# needs: clients
# timeout: 240
"""listeners.py - several listeners, IPv4 and IPv6, what clients are told to connect to, and the configuration
file: its keys are the flags, a flag wins, a wrong key or value is refused with its name and exit 2.

A listener beyond loopback must say so in a warning line. kirad asks for no password yet."""
import os
import re
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h


def ports(pid):
    """TCP ports that this process listens on: {(address family, port)}."""
    inodes = set()
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            found = re.match(r"socket:\[(\d+)\]", os.readlink("/proc/%d/fd/%s" % (pid, fd)))
        except FileNotFoundError:
            continue
        if found:
            inodes.add(found.group(1))
    out = set()
    for family, table in ((socket.AF_INET, "tcp"), (socket.AF_INET6, "tcp6")):
        with open("/proc/%d/net/%s" % (pid, table)) as f:
            for line in f.read().splitlines()[1:]:
                col = line.split()
                if col[3] == "0A" and col[9] in inodes:
                    out.add((family, int(col[1].rsplit(":", 1)[1], 16)))
    return out


def told(kcat, at):
    """What a client that came in by `at` is told to connect to."""
    _, out, _ = h.run([kcat, "-b", at, "-L"])
    return re.search(r"broker \d+ at (\S+)", out).group(1)


def refused(words, what):
    p = h.Process("refused", [h.binary("kirad")] + words)
    code = p.wait(30)
    h.check(code == 2, "%s: exit %s\n%s" % (" ".join(words), code, p.output()))
    h.check(what in p.output(), "%s: the message does not say %r: %s" % (" ".join(words), what, p.output()))


def body():
    kcat = h.need("kcat", "kcat")
    kirad = h.Kirad(extra=["--listen", "[::1]:0", "--listen", "127.0.0.2:0"]).start()
    found = ports(kirad.pid)
    h.check(len(found) == 3 and {f for f, _ in found} == {socket.AF_INET, socket.AF_INET6}, "it listens on %s" % found)
    h.check("reachable from other hosts" not in kirad.process.output(), "it warns though all listeners are on loopback")
    v6 = "[::1]:%d" % next(p for f, p in found if f == socket.AF_INET6)
    h.run([kcat, "-b", v6, "-P", "-t", "l"], stdin=b"over six\n")
    _, out, _ = h.run([kcat, "-b", kirad.bootstrap, "-C", "-t", "l", "-o", "beginning", "-e", "-q"])
    h.check(out == "over six\n", "what came by one listener is not read by the other: %r" % out)
    for at in [v6, kirad.bootstrap]:
        # kcat 1.7.1 writes an IPv6 host without brackets.
        h.check(told(kcat, at).replace("[", "").replace("]", "") == at.replace("[", "").replace("]", ""),
                "a client at %s is sent to %s" % (at, told(kcat, at)))
    kirad.stop()
    h.say("three listeners, each names itself to its clients")

    kirad = h.Kirad(listen="0.0.0.0:0", extra=["--advertised", "127.0.0.1:19092"]).start()
    h.check(re.search(r"reachable from other hosts", kirad.process.output()), "no warning about 0.0.0.0")
    h.check(told(kcat, "127.0.0.1:%d" % kirad.port) == "127.0.0.1:19092", "--advertised is not told")
    kirad.stop()
    h.say("beyond loopback: warned; advertised: told")

    data = h.temp_dir()
    conf = os.path.join(h.temp_dir(), "kirad.conf")
    with open(conf, "w") as f:
        f.write("# a comment\ndata-dir = %s\nlisten = 127.0.0.1:0\ndevice = null\ncpus = %s\nnum.partitions = 3\n"
                "log-level = debug\n" % (data, h.cpu_list()))
    kirad = h.Kirad(data_dir=data, extra=["--config", conf, "--num_partitions", "5"]).start()
    _, out, _ = h.run([kcat, "-b", kirad.bootstrap, "-P", "-t", "five"], stdin=b"x\n")
    _, out, _ = h.run([kcat, "-b", kirad.bootstrap, "-L", "-t", "five"])
    h.check("with 5 partitions" in out, "the flag does not win over the file: %s" % out)
    kirad.stop()
    with open(conf, "a") as f:
        f.write("num-partitons = 4\n")
    refused(["--config", conf], "num-partitons")
    refused(["--data-dir", data, "--num-partitions", "none"], "num-partitions")
    refused(["--data-dir", data, "--no-such-key", "1"], "no-such-key")
    refused(["--listen", "127.0.0.1:0"], "data-dir")
    h.say("result: listeners, advertised, kirad.conf, refusals")


h.main(body)
