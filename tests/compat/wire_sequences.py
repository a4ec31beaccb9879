# SPDX-License-Identifier: MIT
"""wire_sequences.py - PROTOCOL.md 6, first table: what becomes of a batch, by what its producer stored before.

For wire_vectors.py. The rules are written down here a second time, from the page; storage/producer_state.c is held
to what they give (tests/unit/storage/sequences_ut.c)."""
import wire_text

MOD = 1 << 31
KEPT = 5


class Producer:
    """What one partition knows of one producer id."""

    def __init__(self):
        self.epoch = self.next = self.run_start = None
        self.last = []                              # (first, count, offset)

    def judge(self, epoch, first, count, udp):
        if self.epoch is not None and epoch < self.epoch:
            return "fenced"
        if self.epoch is None or epoch > self.epoch:
            return "append" if first == 0 or (self.epoch is None and not udp) else "early"
        if first == self.next:
            return "append"
        if (first - self.next) % MOD < MOD // 2:
            return "early"
        below = (self.next - first) % MOD
        if count > below or below > (self.next - self.run_start) % MOD:
            return "unproven"
        for was in self.last:
            if was[:2] == (first, count):
                return "again %d" % was[2]
        return "again -1"

    def stored(self, epoch, first, count, offset):
        if epoch != self.epoch or first != self.next:
            self.epoch, self.run_start, self.last = epoch, first, []
        self.next = (first + count) % MOD
        self.last = (self.last + [(first, count, offset)])[-KEPT:]


SEVEN = [(3, 10 * i, 10, 1000 + 10 * i) for i in range(7)]              # X = 70, run from 0
MIDDLE = [(0, 100, 10, 5), (0, 110, 10, 15)]                            # over TCP: a run from 100 on
WRAP = [(0, MOD - 105 + 10 * i, 10, 10 * i) for i in range(11)]         # X = 5, run from 2^31 - 105
CASES = (
    ("fresh_first", "no state, UDP: 0 is the first", [], (0, 0, 10), "udp"),
    ("fresh_5", "no state, UDP: any other is early, nothing is below", [], (0, 5, 1), "udp"),
    ("fresh_2_30", "the same beyond half of the circle", [], (0, (1 << 30) + 5, 1), "udp"),
    ("fresh_last", "the same of the last number there is", [], (0, MOD - 1, 1), "udp"),
    ("fresh_tcp", "no state, TCP: Kafka takes any first number", [], (0, 5, 1), "tcp"),
    ("next", "b = X", SEVEN, (3, 70, 10), "udp"),
    ("next_shorter", "b = X, another length", SEVEN, (3, 70, 1), "udp"),
    ("again_newest", "one of the last five: its offset", SEVEN, (3, 60, 10), "udp"),
    ("again_fifth", "the oldest of the five", SEVEN, (3, 20, 10), "udp"),
    ("again_sixth", "older, within the run: offset unknown", SEVEN, (3, 10, 10), "udp"),
    ("again_first", "where the run begins", SEVEN, (3, 0, 10), "udp"),
    ("again_cut", "within the run, cut otherwise", SEVEN, (3, 25, 10), "udp"),
    ("again_shorter", "the beginning of one of the five", SEVEN, (3, 60, 9), "udp"),
    ("straddle", "begins below X, ends above: never split", SEVEN, (3, 65, 10), "udp"),
    ("straddle_by_one", "the same by one record", SEVEN, (3, 60, 11), "udp"),
    ("early", "one record is missing", SEVEN, (3, 71, 10), "udp"),
    ("early_far", "the farthest that is above X", SEVEN, (3, 70 + (1 << 30) - 1, 1), "udp"),
    ("below_far", "one more, and it is below X, before the run", SEVEN, (3, 70 + (1 << 30), 1), "udp"),
    ("older_epoch", "an older epoch, whatever the number", SEVEN, (2, 70, 10), "udp"),
    ("newer_epoch", "a newer epoch begins at 0", SEVEN, (4, 0, 10), "udp"),
    ("newer_epoch_early", "and nowhere else: 70 would have been next", SEVEN, (4, 70, 10), "udp"),
    ("newer_epoch_tcp", "over TCP neither", SEVEN, (4, 70, 10), "tcp"),
    ("before_run", "below a run that began in the middle: no proof", MIDDLE, (0, 90, 10), "udp"),
    ("before_run_in_part", "partly below it", MIDDLE, (0, 95, 10), "udp"),
    ("run_start", "the first of that run", MIDDLE, (0, 100, 10), "udp"),
    ("wrap_next", "X = 5 behind the wrap", WRAP, (0, 5, 10), "udp"),
    ("wrap_again", "the batch across the wrap", WRAP, (0, MOD - 5, 10), "udp"),
    ("wrap_before", "the one before it", WRAP, (0, MOD - 15, 10), "udp"),
    ("wrap_old", "far before it, within the run", WRAP, (0, MOD - 95, 10), "udp"),
    ("wrap_within", "its second half, cut otherwise", WRAP, (0, 0, 5), "udp"),
    ("wrap_unproven", "before that run", WRAP, (0, MOD - 115, 10), "udp"),
    ("wrap_early", "above X", WRAP, (0, 6, 1), "udp"),
)


def vectors():
    for name, what, history, batch, over in CASES:
        p = Producer()
        for was in history:
            p.stored(*was)
        fields = [("stored", "%d %d %d %d" % was) for was in history]
        fields += [("batch", "%d %d %d" % batch), ("over", over), ("verdict", p.judge(*batch, over == "udp"))]
        yield wire_text.vector(name, what, b"", fields)
