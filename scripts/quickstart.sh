#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# quickstart.sh - install what is missing, build, run the main job end to end, print a report; one of the
# two commands of README.md.
#
# Usage: scripts/quickstart.sh [--json] [--seconds N] [--bytes N] [--keep]
#   --json        after the report, as the last line, one JSON object
#   --seconds N   of sending; default 5
#   --bytes N     at most so many bytes of RecordBatches; default and upper bound: the smallest of 2 GiB,
#                 a quarter of the free disk and a quarter of the free memory
#   --keep        leave the data directory; its place is printed
# kirad serves a memif port (shared memory, no hugepages, no root) on a directory of its own in /var/tmp;
# kira-blast sends sequence-numbered records through it and counts what is lost or doubled; kcat reads
# the topic once more with check.crcs=true. Exit 0: nothing lost, doubled or corrupt, all of it fetched.
# 1: it was not, or no ack came for 5 s. 2: wrong usage, or packages are missing and this is not root.
set -uo pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
root=$PWD

json=0 keep=0 seconds=5 bytes_asked=
while [ $# -gt 0 ]; do
	case $1 in
	--json) json=1; shift ;;
	--keep) keep=1; shift ;;
	--seconds) seconds=${2:?--seconds wants a number}; shift 2 ;;
	--bytes) bytes_asked=${2:?--bytes wants a number}; shift 2 ;;
	*) sed -n '6,11p' "$0" | sed 's/^# \{0,1\}//'; exit 2 ;;
	esac
done
[[ $seconds$bytes_asked =~ ^[0-9]+$ ]] || { echo "--seconds and --bytes are whole numbers"; exit 2; }
# shellcheck source=scripts/packages.sh
. scripts/packages.sh
# shellcheck disable=SC2086
install_missing scripts/quickstart.sh $build_packages $run_packages

begun=$(date +%s)
step() { printf '== %s (%d s so far)\n' "$1" $(($(date +%s) - begun)); }
fail() {
	printf 'FAILED: %s\n' "$1"
	exit 1
}

# ---- Children: ended by pid, whatever happens ------------------------------------------------------
work= kirad= child= counter=
end() {    # PID SECONDS: SIGTERM, and SIGKILL if that was not enough
	local i
	[ -n "$1" ] && kill "$1" 2>/dev/null || return 0
	kill -CONT "$1" 2>/dev/null
	for ((i = 0; i < $2 * 20; i++)); do
		kill -0 "$1" 2>/dev/null || break
		sleep 0.05
	done
	kill -9 "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}
clean_up() {
	trap '' INT TERM HUP
	end "$child" 5
	end "$counter" 2
	end "$kirad" 20
	[ -n "$work" ] || return
	if [ $keep = 1 ] && [ -d "$work/data" ]; then
		echo "kept: $work/data"
	else
		rm -rf "$work"
	fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
work=$(mktemp -d /var/tmp/kira-quickstart-XXXXXX) || exit 1

# ---- Build -----------------------------------------------------------------------------------------
# A tree that belongs to somebody else is built elsewhere.
build=$root/build
if ! { [ -d "$build" ] || mkdir "$build" 2>/dev/null; } || [ ! -w "$build" ] \
		|| [ -n "$(find "$build" -maxdepth 1 -name build.ninja ! -writable)" ]; then
	build=/var/tmp/kira-build-$(id -u)
	mkdir -p -m 700 "$build" && [ -O "$build" ] || fail "no place to build: neither $root/build nor $build"
fi
step "build in $build"
if [ ! -e "$build/build.ninja" ] && ! meson setup "$build" "$root" > "$work/setup" 2>&1; then
	cat "$work/setup"
	fail "meson setup"
fi
targets="control/kirad control/cli/kira dataplane/blast/kira-blast"
# shellcheck disable=SC2086
if [ -t 1 ]; then
	ninja -C "$build" $targets || fail "the build"
else
	ninja -C "$build" $targets 2>&1 | tee "$work/build" | awk 'NR % 25 == 0 { print; fflush() }' \
		|| { tail -n 40 "$work/build"; fail "the build"; }
	tail -n 1 "$work/build"
fi
kirad_bin=$build/control/kirad kira=$build/control/cli/kira blast=$build/dataplane/blast/kira-blast

# ---- How much, and where ---------------------------------------------------------------------------
disk_free=$(df --output=avail -B1 "$work" | tail -n 1)
memory_free=$(($(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo) * 1024))
# In a container the limit of its group counts, and what its processes have taken of it.
group=$(cat /sys/fs/cgroup/memory.max 2>/dev/null)
if [[ $group =~ ^[0-9]+$ ]]; then
	group=$((group - $(cat /sys/fs/cgroup/memory.current)))
	[ $group -lt $memory_free ] && memory_free=$group
fi
bytes_max=$((2 << 30)) bytes_why="2 GiB"
[ $((disk_free / 4)) -lt $bytes_max ] && bytes_max=$((disk_free / 4)) bytes_why="a quarter of the free disk"
[ $((memory_free / 4)) -lt $bytes_max ] && bytes_max=$((memory_free / 4)) bytes_why="a quarter of the free memory"
[ -n "$bytes_asked" ] && [ "$bytes_asked" -lt $bytes_max ] && bytes_max=$bytes_asked bytes_why="--bytes"
[ $bytes_max -ge $((1 << 20)) ] || fail "$disk_free bytes of disk and $memory_free of memory are free: too little"

# kirad: control and flush on the first CPU, lcores on the rest; kira-blast has one of its own from the
# third on, and else shares the first.
cpus=()
IFS=, read -ra ranges <<< "$(awk '$1 == "Cpus_allowed_list:" { print $2 }' /proc/self/status)"
for r in "${ranges[@]}"; do
	for ((c = ${r%-*}; c <= ${r#*-}; c++)); do cpus+=("$c"); done
done
case ${#cpus[@]} in
1) kirad_cpus=${cpus[0]} blast_cpu=${cpus[0]} ;;
2) kirad_cpus=${cpus[0]},${cpus[1]} blast_cpu=${cpus[0]} ;;
3) kirad_cpus=${cpus[0]},${cpus[1]} blast_cpu=${cpus[2]} ;;
*) kirad_cpus=${cpus[0]},${cpus[1]},${cpus[2]} blast_cpu=${cpus[3]} ;;
esac
partitions=4 topic=quickstart
# Segments are reserved ahead: small enough that all partitions together stay far below the free disk.
segment=$((64 << 20))
[ $bytes_max -lt $((1 << 30)) ] && segment=$((8 << 20))

# ---- kirad -----------------------------------------------------------------------------------------
step "start kirad on CPU $kirad_cpus, memif port, directory $work/data"
"$kirad_bin" --data-dir "$work/data" --device "memif:$work/memif.sock" --listen 127.0.0.1:0 --cpus "$kirad_cpus" \
	--topic-default segment.bytes=$segment > "$work/ready" 2> "$work/kirad.log" &
kirad=$!
kirad_said() { echo "kirad said:"; tail -n 20 "$work/kirad.log" | sed 's/^/    /'; }
for ((i = 0; i < 600; i++)); do
	ready=$(grep -a '^ready kafka=' "$work/ready") && break
	kill -0 $kirad 2>/dev/null || break
	sleep 0.05
done
[ -n "$ready" ] || { kirad_said; fail "kirad does not serve"; }
bootstrap=${ready#*kafka=} bootstrap=${bootstrap%% *}
device=${ready#*data=} device=${device%% *}
echo "$ready"
"$kira" topic create $topic --partitions $partitions --bootstrap "$bootstrap" > "$work/topic" 2>&1 \
	|| { cat "$work/topic"; kirad_said; fail "topic $topic was not created"; }
echo "topic $topic, $partitions partitions"

# ---- Send ------------------------------------------------------------------------------------------
# run COMMAND..: in the background, so that a signal ends it at once; its exit code in `code`.
run() {
	"$@" &
	child=$!
	wait $child
	code=$?
	child=
}
step "kira-blast on CPU $blast_cpu: $seconds s or $bytes_max bytes ($bytes_why), ack level log"
run "$blast" --bootstrap "$bootstrap" --device "$device" --topic $topic --partitions $partitions --sessions 4 \
	--cpus "$blast_cpu" --seconds "$seconds" --max-bytes $bytes_max --acks log --run-dir "$work" --give-up-after 5 \
	--progress --json > "$work/blast"
blast_code=$code
# field NAME: of kira-blast's JSON; strings lose their quotes.
field() {
	tail -n 1 "$work/blast" | grep -o "\"$1\": \(\"[^\"]*\"\|[^,}]*\)" | head -n 1 | sed 's/^[^:]*: //; s/^"//; s/"$//'
}
sent=$(field records_sent) records=$(field records_acked)
if [ "${sent:-0}" = 0 ] || [ "${records:-0}" = 0 ] || [ "$(field error)" != null ]; then
	echo "kira-blast: $(field error)"
	kirad_said
	echo "counters of kirad that speak of drops, refusals and waits:"
	"$kira" stat --data-dir "$work/data" 2>&1 | grep -E '^(drop|[^ ]*(refus|wait|full|fail|expired|ended|timeout))' \
		| sed 's/^/    /'
	fail "$( [ "${records:-0}" = 0 ] && echo "no record was acked" || echo "kira-blast failed after $records acked records" )"
fi

# ---- Fetch -----------------------------------------------------------------------------------------
step "kcat reads it back, check.crcs=true"
mkfifo "$work/sizes"
# One line per record, the size of its value.
awk '{ n++; b += $1; if (n % 1000000 == 0) { printf "  fetched %d records\n", n > "/dev/stderr" } }
	END { printf "%d %d\n", n, b }' < "$work/sizes" > "$work/fetched" &
counter=$!
t0=$(date +%s%N)
run timeout 600 kcat -b "$bootstrap" -C -t $topic -o beginning -e -q -X check.crcs=true -f '%S\n' \
	> "$work/sizes" 2> "$work/kcat.log"
fetch_ns=$(($(date +%s%N) - t0))
kcat_code=$code
wait $counter
counter=
read -r fetched fetched_bytes < "$work/fetched"
crc_errors=$(field crc_errors)
crc_errors=$((${crc_errors/null/0} + $(grep -aci 'crc' "$work/kcat.log")))
[ -s "$work/kcat.log" ] && head -n 5 "$work/kcat.log"

# ---- Report ----------------------------------------------------------------------------------------
bytes=$(field bytes) took=$(field seconds) lost=$(field records_lost) doubled=$(field records_duplicated)
p50=$(field ack_p50_us) p99=$(field ack_p99_us) limited=$(field limited_by)
fetch_took=$(awk "BEGIN { printf \"%.3f\", $fetch_ns / 1e9 }")
per() { awk "BEGIN { printf \"%.0f\", $1 / ($2 > 0 ? $2 : 1) }"; }
ended="after $seconds s"
awk "BEGIN { exit !($bytes >= 0.999 * $bytes_max) }" && ended="at its limit of bytes, $bytes_why"
step "done"
cat <<REPORT

Kira, end to end: kira-blast > memif > rx lcore > storage lcore > mapped segment > sendfile > kcat
  ingested   $records records, $bytes bytes of batches in $took s; ended $ended
  rate       $(per "$records" "$took") records/s, $(per "$bytes / 1e6" "$took") MB/s
  ack (log)  p50 $p50 us, p99 $p99 us from the send
  lost       $lost, doubled $doubled, out of order $(field records_reordered) (by sequence number, read back)
  fetched    $fetched records, $fetched_bytes bytes of values in $fetch_took s by kcat, $crc_errors CRC errors
  rate       $(per "$fetched" "$fetch_took") records/s, $(per "$fetched_bytes / 1e6" "$fetch_took") MB/s
  limited by $limited

By hand:
  $kirad_bin --data-dir /var/tmp/kira --device memif:/var/tmp/kira.sock --listen 127.0.0.1:9092 --cpus $kirad_cpus &
  $kira topic create t --partitions $partitions
  $blast --device memif:/var/tmp/kira.sock --topic t --cpus $blast_cpu --seconds 10 --rate 100k
  seq 1 1000 | kcat -b 127.0.0.1:9092 -P -t lines
  kcat -b 127.0.0.1:9092 -C -t lines -o beginning -e -q -X check.crcs=true | tail -n 1
REPORT

bad=
[ "$lost" = 0 ] && [ "$doubled" = 0 ] || bad="records are lost or doubled"
[ "$crc_errors" = 0 ] || bad="CRC errors"
[ "$kcat_code" = 0 ] || bad="kcat ended with $kcat_code"
[ "$fetched" = "$records" ] || bad="$records records were acked and $fetched fetched"
[ -n "$bad" ] || [ $blast_code = 0 ] || bad="kira-blast ended with $blast_code"
[ -z "$bad" ] || printf '\nFAILED: %s\n' "$bad"
[ $json = 0 ] || printf '{"records_ingested": %s, "bytes_ingested": %s, "ingest_seconds": %s, "ack_p50_us": %s, "ack_p99_us": %s, "records_lost": %s, "records_duplicated": %s, "records_fetched": %s, "bytes_fetched": %s, "fetch_seconds": %s, "crc_errors": %s, "limited_by": "%s"}\n' \
	"$records" "$bytes" "$took" "$p50" "$p99" "$lost" "$doubled" "$fetched" "$fetched_bytes" "$fetch_took" "$crc_errors" "$limited"
[ -z "$bad" ]
