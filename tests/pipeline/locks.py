#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# timeout: 240
"""locks.py - what kirad refuses to start on, each time in a line that says what to do; and the unit file.

A data directory that another kirad runs on, or Kafka (its lock is a POSIX one on .lock, Java's tryLock); one in
memory, unless --volatile, and then log and `kira stat` say so. The unit file lets systemd give up on a crash loop."""
import fcntl
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h


def refused(kirad, *texts):
    """Its exit code, once it has ended by itself; its last line says all of that."""
    argv = [h.binary("kirad"), "--data-dir", kirad.data_dir, "--listen", "127.0.0.1:0", "--device", "null",
            "--cpus", kirad.cpus] + kirad.extra
    p = h.Process("kirad", argv)
    code = p.wait(20)
    last = p.output().rstrip().splitlines()[-1]
    h.check(code not in (0, None), "it ended with %s" % code)
    for text in texts:
        h.check(text in last, "its last line lacks %r: %s" % (text, last))
    return code


def body():
    first = h.Kirad().start()
    second = h.Kirad(data_dir=first.data_dir)
    h.check(refused(second, first.data_dir, "is in use: another kirad (or Kafka)") == 1, "not exit code 1")
    # And Kafka would see it: fcntl's POSIX lock is what Java's FileChannel.tryLock takes.
    with open(os.path.join(first.data_dir, ".lock"), "r+") as f:
        try:
            fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            raise h.Failed("Kafka's lock was to be had beside a kirad")
        except OSError:
            pass
    h.check(first.lives(), "the first one ended")
    first.stop()
    with open(os.path.join(first.data_dir, ".lock"), "r+") as f:
        fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        refused(second, first.data_dir, "is in use")
    second.start()
    second.stop()
    h.say("two brokers, and Kafka's lock")
    if os.path.isdir("/dev/shm"):
        memory = tempfile.mkdtemp(prefix="kira-test-", dir="/dev/shm")
        h.at_exit(h.shutil.rmtree, memory, True)
        in_memory = h.Kirad(data_dir=memory)
        refused(in_memory, "is in memory", "--volatile")
        in_memory.extra = ["--volatile", "true"]
        in_memory.start()
        h.check("is in memory: a power cut takes all records" in in_memory.process.output(), "the log does not say so")
        _, out, _ = h.run([h.binary("kira"), "stat", "--data-dir", memory])
        h.check("IN MEMORY" in out.splitlines()[1], "kira stat does not say so: %s" % out[:200])
        in_memory.stop()
        h.say("a directory in memory")
    unit = os.path.join(h.BUILD, "control", "kirad.service")
    with open(unit) as f:
        text = f.read()
    h.check("\nStartLimitIntervalSec=" in text.split("[Service]")[0] and "\nStartLimitBurst=" in text.split("[Service]")[0],
            "the unit file does not end a crash loop")
    h.check("\nRestart=on-failure" in text, "the unit file does not start kirad again")
    h.say("result: two brokers, Kafka's lock and memory refused, the unit ends a crash loop")


h.main(body)
