#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# dump_apache.sh - hand the partitions of a data directory to Apache Kafka's own DumpLogSegments.
#
# Usage: tests/compat/dump_apache.sh DIR [KAFKA_VERSION]
#   DIR   a data directory after a clean stop of kirad (an open segment has a zero tail, which the
#         tool takes for damage)
# Needs maven and a JDK; jars come from Maven Central once, into build/kafka-VERSION. The tool exits 0
# whatever it finds, so both its streams are searched for its words of complaint.
# Exit: 0 every file passed, 1 one did not, 2 used wrongly, 77 no maven or no java.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
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

complaints='isvalid: false|invalid bytes|Mismatches|mismatch|out of order|not found|Non-consecutive|Exception|[Ss]napshot is corrupt|[Ss]napshot contained'
files=0 records=0
# One run per question over the files of all partitions: a JVM takes longer to start than to read them.
dump() {
	java -Xmx1g -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$jars/*" kafka.tools.DumpLogSegments "$@" \
		> "$work/out" 2>&1
}
complain() {
	echo "FAILED: $1"
	grep -E -B1 "$complaints" "$work/out" | head -n 20 | cut -c1-300
	exit 1
}
# ask KIND OPTION..: the files of this kind, if there are any; sets n to their number.
ask() {
	local kind=$1 list
	shift
	list=$(find "$dir" -mindepth 2 -maxdepth 2 -name "*.$kind" -size +0 -path '*-[0-9]*/*' | sort | paste -sd,)
	n=0
	[ -n "$list" ] || return
	n=$(printf %s "$list" | tr ',' '\n' | grep -c .)
	dump "$@" --files "$list"
	grep -qE "$complaints" "$work/out" && complain "$kind files ($*)"
	[ "$(grep -c '^Dumping ' "$work/out")" = "$n" ] || complain "$kind files ($*): not all $n were dumped"
}

ask log --deep-iteration
[ "$n" -gt 0 ] || { echo "FAILED: no partition with a segment in $dir"; exit 1; }
records=$(grep -c '^| offset: ' "$work/out")
[ "$records" -gt 0 ] || complain "no record was shown"
files=$((files + n))
for kind in index timeindex; do
	ask $kind --index-sanity-check
	# The time index has no sanity line of its own in some releases: the offset index must say it for each.
	[ $kind = timeindex ] || [ "$(grep -c 'passed sanity check.' "$work/out")" = "$n" ] || complain "$kind: not all of $n passed"
	ask $kind
	files=$((files + n))
done
ask snapshot
files=$((files + n))
echo "DumpLogSegments $version: $files files, $records records, no complaint"
