# SPDX-License-Identifier: MIT
"""cells.py - what of the compatibility table a test settles: a client's features, each pass or fail.

    kcat = cells.Client("kcat 1.7.1", "codecs", "groups")   # fail, until shown otherwise
    kcat.passed("codecs")
    kcat.attempt("groups", groups_of, kirad)                # what fails here does not keep the rest from being tried
    cells.check()                                           # at the end: fails if an attempt did

Where KIRA_CELLS names a file, `client | feature | pass or fail` is appended to it as it comes, so that a test which is
killed leaves fails behind; table.py makes the table of it. Without the variable nothing is written."""
import os
import traceback

import harness as h

KCAT, CONFLUENT, PYTHON, KAFKAJS = "kcat 1.7.1", "confluent-kafka 1.7.0", "kafka-python 2.0.2", "kafkajs 2.2.4"
RDKAFKA = "librdkafka 2.0.2"

# What clients are compared by. Rows of one program alone (Apache's tools) have its name.
CODEC = {name: "produce and read: " + name for name in ("plain", "gzip", "snappy", "lz4", "zstd")}
IDEMPOTENT = "produce: idempotent"
KILLED = "produce: idempotent, kirad killed"
TIMES = "offsets: earliest, latest, by time"
GROUPS = "groups: share, take over, go on"
STATIC = "groups: static members"
MIXED = "groups: Java and librdkafka in one, killed and added"
COMMITS = "offsets: commit, fetch; kept over kill -9"
RESET = "offsets: set by an administrator"
GROUP_ADMIN = "groups: list, describe, delete"
TOPICS = "topics: create, list, delete"
PARTITIONS = "topics: more partitions"
CONFIGS = "topics: describe, alter configurations"
RECORDS = "records: delete"
TRANSACTIONS = "transactions: refused at once"
FEATURES = list(CODEC.values()) + [IDEMPOTENT, KILLED, TIMES, GROUPS, STATIC, MIXED, COMMITS, RESET, GROUP_ADMIN, TOPICS, PARTITIONS,
                                   CONFIGS, RECORDS, TRANSACTIONS]
CLIENTS = (KCAT, RDKAFKA, CONFLUENT, PYTHON, KAFKAJS, "Java")

_failed = []


class Client:
    def __init__(self, name, *features):
        self.name = name
        self.features = features
        for f in features:
            self._write(f, "fail")

    def passed(self, *features):
        for feature in features:
            h.check(feature in self.features, "no feature %r was announced for %s" % (feature, self.name))
            self._write(feature, "pass")

    def attempt(self, feature, function, *args):
        """What the function returns, True where it returns nothing; None: it failed."""
        try:
            value = function(*args)
        except Exception as e:
            text = "%s: %s: %s" % (self.name, feature, e)
            h.say("FAILED  " + text)
            _failed.append(text.split("\n")[0])
            if not isinstance(e, h.Failed):
                traceback.print_exc()
            return None
        self.passed(feature)
        h.say("%s: %s" % (self.name, feature))
        return True if value is None else value

    def _write(self, feature, result):
        path = os.environ.get("KIRA_CELLS")
        if path:
            with open(path, "a") as f:
                f.write("%s | %s | %s\n" % (self.name, feature, result))


def check():
    h.check(not _failed, "; ".join(_failed))
