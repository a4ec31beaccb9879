#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# needs: clients
# timeout: 180
"""groups.py - consumer groups of kcat -G, python3-confluent-kafka and python3-kafka 2.0.2: two members share a topic,
one is killed, the other takes over; who closes commits and leaves at once; who comes next goes on from there; admin
tools see, and delete, the group. kirad is killed under static members: nobody joins again, nothing is lost."""
import os
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "pipeline")]
import cells
import harness as h

N = 2000
SESSION_MS, LONG_SESSION_MS = 6000, 30000     # of who is killed; of who leaves
CLOSE_S = 10


def member(library, bootstrap, group, topic, session_ms):
    """A consumer in a process of its own: prints what it gets, closes on SIGTERM."""
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    if library == "confluent":
        import confluent_kafka
        c = confluent_kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest",
                                      "session.timeout.ms": int(session_ms), "heartbeat.interval.ms": 500,
                                      "partition.assignment.strategy": "cooperative-sticky", "enable.auto.commit": True})
        c.subscribe([topic])
        while not stop:
            m = c.poll(0.2)
            if m is not None and not m.error():
                print(m.value().decode(), flush=True)
        c.close()
    else:
        import kafka
        c = kafka.KafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest",
                                session_timeout_ms=int(session_ms), heartbeat_interval_ms=500, request_timeout_ms=40000)
        while not stop:
            for batch in c.poll(200).values():
                for m in batch:
                    print(m.value.decode(), flush=True)
        c.close()
    print("closed", flush=True)


class Member:
    argv_of = {}        # of libraries that others bring: function(bootstrap, group, topic, session_ms)

    def __init__(self, library, kirad, group, topic, session_ms=LONG_SESSION_MS):
        if library in self.argv_of:
            argv = self.argv_of[library](kirad.bootstrap, group, topic, session_ms)
        elif library == "kcat":
            argv = [h.need("kcat", "kcat"), "-b", kirad.bootstrap, "-G", group, "-q", "-u",
                    "-X", "session.timeout.ms=%d" % session_ms, "-X", "heartbeat.interval.ms=500",
                    "-X", "auto.offset.reset=earliest", topic]
        else:
            argv = ["/usr/bin/python3", os.path.abspath(__file__), "member", library, kirad.bootstrap, group, topic,
                    str(session_ms)]
        self.process = h.Process(library, argv)

    def got(self, prefix):
        return {x for x in self.process.output().splitlines() if x.startswith(prefix)}


def round_of(library, kirad, kcat):
    topic, group = "t-" + library, "g-" + library

    def produce(prefix):
        h.run([kcat, "-b", kirad.bootstrap, "-P", "-t", topic],
              stdin="\n".join("%s %d" % (prefix, n) for n in range(N)).encode())
        return {"%s %d" % (prefix, n) for n in range(N)}

    h.run([kcat, "-b", kirad.bootstrap, "-P", "-t", topic], stdin=b"hello\n")
    one, two = Member(library, kirad, group, topic, SESSION_MS), Member(library, kirad, group, topic)
    # Both are in once each gets some of what comes.
    tries = []

    def shared():
        tries.append(produce("try%d" % len(tries)))
        prefix = "try%d" % (len(tries) - 1)
        h.until(lambda: len(one.got(prefix) | two.got(prefix)) == N, 30, "%s: all of %s arrive" % (library, prefix))
        return one.got(prefix) and two.got(prefix)
    h.until(shared, 40, "%s: two members share the topic" % library)
    h.say("%-9s two members share, after %d x %d records" % (library, len(tries), N))

    one.process.kill()
    want = produce("killed")
    h.until(lambda: two.got("killed") == want, 30, "%s: the one left gets all" % library)
    h.say("%-9s one is killed, the other takes over" % library)

    three = Member(library, kirad, group, topic)
    h.until(lambda: (produce("third"), three.got("third"))[1], 40, "%s: a third member gets its share" % library)
    h.until(lambda: len(two.got("third") | three.got("third")) == N, 30, "%s: nothing is lost on the way" % library)
    if library != "kcat":           # kcat -G does not say how it ended
        h.check(two.process.term(CLOSE_S) == 0 and "closed" in two.process.output(), "%s: close fails" % library)
    else:
        two.process.term(CLOSE_S)
    want = produce("left")
    # It left: nobody waits for its session to end.
    h.until(lambda: three.got("left") == want, LONG_SESSION_MS / 1000 - 10, "%s: a member that leaves is not waited for" % library)
    three.process.term(CLOSE_S)
    h.say("%-9s closes within %d s, the others go on at once" % (library, CLOSE_S))

    four = Member(library, kirad, group, topic)
    want = produce("fresh")
    h.until(lambda: want <= four.got("fresh"), 30, "%s: a new one goes on" % library)
    h.check(not four.got("killed"), "%s: what was committed is read again" % library)
    four.process.term(CLOSE_S)
    return group


def admin(kirad, groups):
    kafka = h.need_module("kafka", "python3-kafka")
    a = kafka.KafkaAdminClient(bootstrap_servers=kirad.bootstrap, request_timeout_ms=20000)
    listed = dict(a.list_consumer_groups())
    h.check(all(listed.get(g) == "consumer" for g in groups), "list_consumer_groups: %s" % listed)
    described = a.describe_consumer_groups(groups)
    h.check([d.state for d in described] == ["Empty"] * len(groups), "describe_consumer_groups: %s" % described)
    h.check(a.describe_consumer_groups(["nobody"])[0].state == "Dead", "an unknown group is not Dead")
    gone = a.delete_consumer_groups(groups + ["nobody"])
    codes = {g: e.errno for g, e in gone}
    h.check(codes == dict({g: 0 for g in groups}, nobody=69), "delete_consumer_groups: %s" % codes)
    h.check(not set(groups) & {g for g, _ in a.list_consumer_groups()}, "a deleted group is listed")
    a.close()
    h.say("admin     list, describe and delete %d groups" % len(groups))


def broker_killed(kirad, kcat):
    """Two static members, one process: kirad is killed and comes back, then one of them does."""
    import confluent_kafka
    joins, got = [], []

    def consumer(name):
        c = confluent_kafka.Consumer({"bootstrap.servers": kirad.bootstrap, "group.id": "static", "group.instance.id": name,
                                      "session.timeout.ms": 30000, "heartbeat.interval.ms": 500, "log_level": 2,
                                      "auto.offset.reset": "earliest"})
        c.subscribe(["t-static"], on_assign=lambda _, parts: joins.append((name, sorted(p.partition for p in parts))))
        return c

    def produce_and_read(members, prefix):
        want = {"%s %d" % (prefix, n) for n in range(N)}
        h.run([kcat, "-b", kirad.bootstrap, "-P", "-t", "t-static"], stdin="\n".join(want).encode())

        def done():
            for c in members:
                got.extend(m.value().decode() for m in c.consume(1000, 0.05) if not m.error())
            return want <= set(got)
        h.until(done, 40, "all of %s arrive" % prefix)

    h.run([kcat, "-b", kirad.bootstrap, "-P", "-t", "t-static"], stdin=b"hello\n")
    one, two = consumer("one"), consumer("two")
    h.until(lambda: (one.poll(0.05), two.poll(0.05), len({n for n, _ in joins}) == 2)[2], 30, "both join")
    produce_and_read((one, two), "before")
    assigned, n = dict(joins), len(joins)
    kirad.kill9()
    again = h.Kirad(data_dir=kirad.data_dir, listen=kirad.bootstrap, extra=["--num-partitions", "4"]).start()
    produce_and_read((one, two), "after")
    h.check(len(joins) == n, "members join again after kirad was killed: %s" % joins[n:])
    two.close()
    two = consumer("two")
    produce_and_read((one, two), "back")
    h.check(joins[n:] == [("two", assigned["two"])], "an instance comes back: %s; before: %s" % (joins[n:], assigned))
    one.close()
    two.close()
    h.say("static    kirad is killed and an instance restarted: %d records, nobody else joins again" % (3 * N))
    return again


def body():
    kcat = h.need("kcat", "kcat")
    h.need_module("confluent_kafka", "python3-confluent-kafka")
    h.need_module("kafka", "python3-kafka")
    kirad = h.Kirad(extra=["--num-partitions", "4", "--group-initial-rebalance-delay-ms", "0"]).start()
    cell = {"kcat": cells.Client(cells.KCAT, cells.GROUPS), "confluent": cells.Client(cells.CONFLUENT, cells.GROUPS, cells.STATIC),
            "kafka": cells.Client(cells.PYTHON, cells.GROUPS, cells.GROUP_ADMIN)}
    groups = []
    for library in cell:
        groups.append(round_of(library, kirad, kcat))
        cell[library].passed(cells.GROUPS)
    admin(kirad, groups)
    cell["kafka"].passed(cells.GROUP_ADMIN)
    broker_killed(kirad, kcat).stop()
    cell["confluent"].passed(cells.STATIC)
    h.say("result: 3 clients, each with members killed, closed and come back; kirad killed under static members")


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "member":
        member(*sys.argv[2:])
    else:
        h.main(body)
