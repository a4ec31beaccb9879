# SPDX-License-Identifier: MIT
"""java_tools.py - Apache Kafka's Java clients and tools for the tests of this folder: the jars of a release, a tool run to
its end or as a process, what the Verifiable clients tell. Jars come from Maven Central once, into build/java-VERSION."""
import json
import os
import re
import shutil
import zipfile

import harness as h

POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>kira</groupId><artifactId>java-clients</artifactId><version>1</version><dependencies>%s</dependencies></project>"""
DEPENDENCY = "<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>"


class Tools:
    """The classes of one release, each by the last part of its name: packages differ between releases."""

    def __init__(self, version):
        for tool, package in (("java", "default-jre-headless"), ("mvn", "maven")):
            h.need(tool, package)
        self.jars = os.path.join(h.BUILD, "java-" + version)
        if not os.path.isdir(self.jars):
            self.fetch(version)
        self.classes = {}
        for jar in ("kafka_2.13", "kafka-tools"):
            for name in zipfile.ZipFile(os.path.join(self.jars, "%s-%s.jar" % (jar, version))).namelist():
                if re.match(r"(kafka|org/apache/kafka)/(tools|admin)/[\w/]+\.class$", name):
                    self.classes[os.path.basename(name)[:-6]] = name[:-6].replace("/", ".")

    def fetch(self, version):
        h.say("fetch Kafka %s from Maven Central" % version)
        work = h.temp_dir()
        with open(os.path.join(work, "pom.xml"), "w") as f:
            f.write(POM % "".join(DEPENDENCY % d for d in (
                ("org.apache.kafka", "kafka_2.13", version), ("org.apache.kafka", "kafka-tools", version),
                ("org.slf4j", "slf4j-simple", "1.7.36"))))
        code, out, err = h.run(["mvn", "-q", "-B", "-f", os.path.join(work, "pom.xml"), "dependency:copy-dependencies",
                                "-DexcludeArtifactIds=slf4j-reload4j,log4j-slf4j-impl",
                                "-DoutputDirectory=" + os.path.join(work, "jars")], seconds=400, ok=None)
        if code:
            h.skip("no jars of Kafka %s from Maven Central: %s" % (version, (out + err)[-500:]))
        shutil.move(os.path.join(work, "jars"), self.jars)

    def argv(self, name, *args):
        return ["nice", "-n", "10", "java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", self.jars + "/*", self.classes[name]] + list(args)

    def start(self, name, *args, stdin=None):
        return h.Process(name, self.argv(name, *args), stdin=stdin)

    def run(self, name, *args, ok=(0,)):
        """What it said on both streams: the tools choose freely, and exit 0 after many an error."""
        _, out, err = h.run(self.argv(name, *args), seconds=90, ok=ok)
        return out + err


def events(text, name):
    """The lines of a Verifiable client of that name; the last line may be half written."""
    found = []
    for line in text.splitlines():
        if line.startswith("{") and line.endswith("}"):
            event = json.loads(line)
            if event["name"] == name:
                found.append(event)
    return found


def expect(text, *patterns):
    for p in patterns:
        h.check(re.search(p, text), "no %r in: %s" % (p, text[-1500:]))
