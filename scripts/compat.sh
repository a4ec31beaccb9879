#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# compat.sh - hand the partitions of a data directory to Apache Kafka's own DumpLogSegments.
#
# Usage: scripts/compat.sh DIR [KAFKA_VERSION]
#   DIR   a data directory after a clean stop of kirad (an open segment has a zero tail, which the
#         tool takes for damage)
# Needs maven and a JDK; jars come from Maven Central once, into build/kafka-VERSION. The tool exits 0
# whatever it finds, so both its streams are searched for its words of complaint.
# Exit: 0 every file passed, 1 one did not, 2 used wrongly, 77 no maven or no java.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
dir=${1:-} version=${2:-3.9.1}
[ -d "$dir" ] || { sed -n '3,11p' "$0" | sed 's/^# \{0,1\}//'; exit 2; }
for tool in mvn java; do
	command -v $tool >/dev/null || {
		echo "skipped: $tool is missing: apt-get install maven default-jdk-headless"; exit 77; }
done

jars=build/kafka-$version
work=$(mktemp -d /var/tmp/kira-compat-XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
if ! ls "$jars"/kafka_2.13-*.jar >/dev/null 2>&1; then
	echo "== fetch org.apache.kafka:kafka_2.13:$version from Maven Central"
	cat > "$work/pom.xml" <<-POM
		<project xmlns="http://maven.apache.org/POM/4.0.0">
		<modelVersion>4.0.0</modelVersion><groupId>kira</groupId><artifactId>compat</artifactId><version>1</version>
		<dependencies>
		<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
		<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
		</dependencies></project>
	POM
	mkdir -p "$jars.part"
	if ! timeout 400 mvn -q -B -f "$work/pom.xml" dependency:copy-dependencies -DoutputDirectory="$PWD/$jars.part"; then
		rm -rf "$jars.part"
		echo "skipped: the jars could not be fetched from Maven Central; see above, then run it again"
		exit 77
	fi
	mv "$jars.part" "$jars"
fi

complaints='isvalid: false|invalid bytes|Mismatches in|timestamp mismatch|out of order timestamp|not found in the log|Non-consecutive offsets|Exception|[Ss]napshot is corrupt|[Ss]napshot contained'
files=0 records=0 bad=0
dump() {
	java -Xmx512m -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$jars/*" kafka.tools.DumpLogSegments "$@" \
		> "$work/out" 2>&1
}
complain() {
	echo "FAILED: $1"
	tail -n 15 "$work/out" | cut -c1-300
	bad=1
}
for part in "$dir"/*-[0-9]*/; do
	logs=$(find "$part" -maxdepth 1 -name '*.log' -size +0 | sort | paste -sd,)
	[ -n "$logs" ] || continue
	n=$(printf %s "$logs" | tr ',' '\n' | grep -c .)
	# The active segment of a clean stop is trimmed like a sealed one: all of them are dumped.
	dump --deep-iteration --files "$logs"
	grep -qE "$complaints" "$work/out" && { complain "${part%/}: $(grep -m1 -E "$complaints" "$work/out" | cut -c1-200)"; continue; }
	got=$(grep -c '^| offset: ' "$work/out")
	[ "$got" -gt 0 ] || { complain "${part%/}: no record was shown"; continue; }
	records=$((records + got)) files=$((files + n))
	for kind in index timeindex; do
		idx=$(find "$part" -maxdepth 1 -name "*.$kind" -size +0 | sort | paste -sd,)
		[ -n "$idx" ] || continue
		n=$(printf %s "$idx" | tr ',' '\n' | grep -c .)
		dump --index-sanity-check --files "$idx"
		grep -qE "$complaints" "$work/out" && { complain "${part%/} $kind sanity"; continue; }
		# The time index has no sanity line of its own in some releases: the offset index must say it for each.
		[ $kind = timeindex ] || [ "$(grep -c 'passed sanity check.' "$work/out")" = "$n" ] \
			|| { complain "${part%/} $kind: not all of $n passed"; continue; }
		dump --files "$idx"
		grep -qE "$complaints" "$work/out" && { complain "${part%/} $kind"; continue; }
		files=$((files + n))
	done
	snap=$(find "$part" -maxdepth 1 -name '*.snapshot' -size +0 | sort | paste -sd,)
	if [ -n "$snap" ]; then
		dump --files "$snap"
		grep -qE "$complaints" "$work/out" && { complain "${part%/} snapshot"; continue; }
		files=$((files + $(printf %s "$snap" | tr ',' '\n' | grep -c .)))
	fi
done
[ $files -gt 0 ] || [ $bad = 1 ] || { echo "FAILED: no partition with a segment in $dir"; exit 1; }
[ $bad = 0 ] || exit 1
echo "DumpLogSegments $version: $files files, $records records, no complaint"
