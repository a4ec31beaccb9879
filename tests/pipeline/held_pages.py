#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# needs: clients
# timeout: 240
"""held_pages.py - consumers that do not read, while kirad is killed: what they hold delays the next start, no more.

What kirad had answered lies in sockets as pages of unsealed segments, which recovery must see leave memory. What was not
sent goes with the process; what waits in a receiver on this machine is waited for, by all partitions together."""
import os
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h
import kafka_wire as k

PARTITIONS = 6      # more than threads that recover
BYTES = 2 << 20     # of each
HELD_S = 3          # longer than the patience of a start divided by its threads


def sockets_of(port):
    """States of the sockets that this port has, here: none belongs to a process any more."""
    with open("/proc/net/tcp") as f:
        rows = [line.split() for line in f.readlines()[1:]]
    return [row[3] for row in rows if int(row[1].split(":")[1], 16) == port]


def reader(kirad, partition):
    """Asks for all of a partition, and takes what its kernel takes."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    sock.connect(("127.0.0.1", kirad.port))
    sock.sendall(k.request(1, 4, k.i32(-1) + k.i32(500) + k.i32(1) + k.i32(1 << 30) + b"\0" + k.i32(1) + k.string("held") +
                           k.i32(1) + k.i32(partition) + k.i64(0) + k.i32(1 << 30)))
    h.until(lambda: len(sock.recv(65536, socket.MSG_PEEK)) > 32768, 20, "an answer begins")
    return sock


def body():
    kcat = h.need("kcat", "kcat")
    kirad = h.Kirad(extra=["--num-partitions", str(PARTITIONS)]).start()
    sent = ["%01000d" % n for n in range(PARTITIONS * BYTES // 1000)]
    for p in range(PARTITIONS):     # left to kcat, a partition may get nothing: it keeps to one for 10 ms
        h.run([kcat, "-b", kirad.bootstrap, "-P", "-t", "held", "-p", p], stdin="\n".join(sent[p::PARTITIONS]).encode())
    readers = [reader(kirad, p) for p in range(PARTITIONS)]
    port = kirad.port
    kirad.kill9()
    h.until(lambda: not sockets_of(port), 10, "the sockets of a killed kirad are gone: states %s" % sockets_of(port))
    process = kirad.spawn()
    time.sleep(HELD_S)      # nothing shows from outside that a start waits
    h.check("ready kafka" not in process.output(), "nothing was held: the readers' sockets must hold pages")
    for sock in readers:
        sock.close()
    kirad.serves()
    h.check("halted" not in process.output(), "a partition was halted:\n" + process.output())
    _, out, _ = h.run([kcat, "-b", kirad.bootstrap, "-C", "-t", "held", "-o", "beginning", "-e", "-q", "-X", "check.crcs=true"])
    differs = h.same_multiset([x.encode() for x in sent], [x.encode() for x in out.splitlines()])
    h.check(not differs, "sent and read differ: %s" % differs)
    kirad.stop()
    h.say("result: %d partitions held for %d s, %d records there afterwards" % (PARTITIONS, HELD_S, len(sent)))


h.main(body)
