#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# quick: --seconds 30 datagram ack open_session
# long: --seconds 600 datagram
# long: --seconds 600 ack
# long: --seconds 600 open_session
# about: include dataplane control/kafka tests/fuzz tests/golden/wire
# timeout: 300
# produce.sh - libFuzzer on the parsers of the produce protocol, each for as long as it is told, side by side.
#
# Usage: tests/fuzz/produce.sh [--seconds N] DRIVER..
# Seeds: tests/fuzz/corpus/DRIVER and the test vectors (tests/golden/wire). A corpus that grows is thrown away; an
# input that crashes is left in build/ as fuzz-DRIVER-*. Builds build-fuzz/ (clang) first.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=30
if [ "${1:-}" = --seconds ]; then
	seconds=${2:?--seconds wants a number}
	shift 2
fi
[ $# -gt 0 ] || { sed -n '10,14p' "$0" | sed 's/^# \{0,1\}//'; exit 2; }
command -v clang > /dev/null || { echo "skipped: no clang: apt-get install clang"; exit 77; }
[ -e build-fuzz/build.ninja ] || CC=clang meson setup build-fuzz -Db_sanitize=address,undefined -Db_lundef=false \
	-Dc_args=-fsanitize=fuzzer-no-link > /dev/null
ninja -C build-fuzz fuzz > /dev/null || { ninja -C build-fuzz fuzz; exit 1; }

work=$(mktemp -d /var/tmp/kira-fuzz-XXXXXX)
children=()
clean_up() {
	[ ${#children[@]} = 0 ] || kill "${children[@]}" 2> /dev/null || true
	rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 143' TERM HUP INT
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
/usr/bin/python3 tests/compat/wire_vectors.py --seeds "$work"
mkdir -p build
for name; do
	mkdir -p "$work/grown-$name" "$work/$name"
	build-fuzz/tests/fuzz/fuzz_"$name" -max_total_time="$seconds" -max_len=9200 -timeout=20 -rss_limit_mb=3000 \
		-print_final_stats=1 -artifact_prefix="$PWD/build/fuzz-$name-" \
		"$work/grown-$name" tests/fuzz/corpus/"$name" "$work/$name" > "$work/out-$name" 2>&1 &
	children+=($!)
done
bad=0 told=
for name; do
	wait "${children[0]}" || { bad=1; tail -n 40 "$work/out-$name"; echo "FAILED: $name; the input: build/fuzz-$name-*"; }
	children=("${children[@]:1}")
	n=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/out-$name")
	covered=$(grep -aoE 'cov: [0-9]+' "$work/out-$name" | tail -n 1)
	[ "${n:-0}" -ge 20000 ] || { echo "FAILED: $name: ${n:-0} executions: what makes it so slow?"; bad=1; }
	told="$told${told:+, }$name ${n:-0} executions ($covered)"
done
[ $bad = 0 ] && echo "result: $seconds s: $told"
exit $bad
