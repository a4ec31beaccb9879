#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --mib 256
# needs: clients
# timeout: 240
"""sendfile.py - fetched bytes leave by sendfile; what is read of .log files is at most 1 % of them.

Fills a topic over TCP, attaches strace to kirad's threads, reads the topic with kcat, and adds up what
sendfile sent and what any read call took from a .log file."""
import argparse
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fill
import harness as h


def add_up(log):
    """Bytes sent by sendfile, read from .log files, written to TCP sockets. A call that another thread
    interrupts is two lines: its descriptor stands in the first, its result in the second."""
    sendfile = reads = copied = 0
    begun = {}
    with open(log, errors="replace") as f:
        for line in f:
            m = re.match(r"(\d+)\s+(?:<\.\.\. )?(\w+)(?:\((\d+)<([^>]*)>| resumed>)", line)
            if not m:
                continue
            thread, call, path = m.group(1), m.group(2), m.group(4)
            if "<unfinished" in line:
                begun[thread] = path
                continue
            path = begun.pop(thread, "") if path is None else path
            result = re.search(r"= (\d+)\s*$", line)
            if not result:
                continue
            n = int(result.group(1))
            if call.startswith("sendfile"):
                sendfile += n
            elif call in ("pread64", "preadv", "preadv2", "read", "readv", "splice") and path.endswith(".log"):
                reads += n
            elif call in ("write", "writev", "sendmsg", "sendto") and "TCP" in path:
                copied += n
    return sendfile, reads, copied


def body():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--mib", type=int, default=256)
    args = args.parse_args()
    strace, kcat = h.need("strace", "strace"), h.need("kcat", "kcat")
    kirad = h.Kirad().start()
    sent = fill.topic(kirad, "t", args.mib << 20)
    h.say("topic holds %d bytes of values" % sent)
    log = os.path.join(h.temp_dir(), "strace")
    tracer = h.Process("strace", [strace, "-f", "-y", "-qq", "-s", "0", "-o", log, "-p", kirad.pid,
                                  "-e", "trace=sendfile,splice,pread64,preadv,preadv2,read,readv,write,writev,sendmsg,sendto"])
    h.until(lambda: tracer.poll() is not None or _traced(kirad.pid), 20, "strace attaches")
    if tracer.poll() is not None:
        h.skip("strace may not attach here (%s): allow ptrace" % tracer.output().strip()[-200:])
    out = os.path.join(os.path.dirname(log), "out")
    with open(out, "wb") as f:
        h.run([kcat, "-b", kirad.bootstrap, "-C", "-t", "t", "-o", "beginning", "-e", "-q", "-X", "check.crcs=true",
               "-X", "fetch.message.max.bytes=4194304"], stdout_file=f, seconds=180)
    got = os.path.getsize(out)
    tracer.term()
    sendfile, reads, copied = add_up(log)
    h.check(got >= sent, "kcat read %d bytes of %d" % (got, sent))
    h.check(sendfile >= sent, "sendfile sent %d bytes, values alone are %d" % (sendfile, sent))
    h.check(reads <= sendfile // 100, "read calls took %d bytes from .log files, over 1 %% of %d" % (reads, sendfile))
    kirad.stop()
    h.say("result: sendfile %d bytes, reads of .log %d bytes (%.4f %%), copied to sockets %d bytes" % (
        sendfile, reads, 100.0 * reads / sendfile, copied))


def _traced(pid):
    with open("/proc/%d/status" % pid) as f:
        return not re.search(r"^TracerPid:\s+0$", f.read(), re.M)


h.main(body)
