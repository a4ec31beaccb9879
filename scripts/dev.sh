#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# dev.sh - the minute between two edits. No root.
#
# Usage: scripts/dev.sh             ASan and UBSan build, unit tests, check.sh, a TCP smoke run
#        scripts/dev.sh fuzz [NAME] fuzz drivers under clang, 10 seconds each (or one of them, until ^C)
#        scripts/dev.sh release     optimised build in build-release, unit tests
set -euo pipefail
cd "$(dirname "$0")/.."

setup() {
	local dir=$1
	shift
	[ -e "$dir/build.ninja" ] || meson setup "$dir" "$@"
	ninja -C "$dir"
}

case ${1:-} in
'')
	setup build-asan -Db_sanitize=address,undefined -Db_lundef=false
	meson test -C build-asan --no-rebuild --suite anywhere --print-errorlogs
	scripts/check.sh
	KIRA_BUILD=$PWD/build-asan PYTHONDONTWRITEBYTECODE=1 timeout 120 /usr/bin/python3 tests/pipeline/restart.py
	;;
fuzz)
	[ -e build-fuzz/build.ninja ] || CC=clang meson setup build-fuzz -Db_sanitize=address,undefined -Db_lundef=false \
		-Dc_args=-fsanitize=fuzzer-no-link
	ninja -C build-fuzz fuzz
	if [ -n "${2:-}" ]; then
		mkdir -p "tests/fuzz/corpus/$2"
		exec "build-fuzz/tests/fuzz/fuzz_$2" -artifact_prefix="build-fuzz/crash-$2-" "tests/fuzz/corpus/$2"
	fi
	for driver in build-fuzz/tests/fuzz/fuzz_*; do
		[ -f "$driver" ] && [ -x "$driver" ] || continue
		name=${driver##*/fuzz_}
		echo "== $name"
		seeds=()
		[ -d "tests/fuzz/corpus/$name" ] && seeds=("tests/fuzz/corpus/$name")
		mkdir -p "build-fuzz/corpus-$name"
		"$driver" -max_total_time=10 -artifact_prefix="build-fuzz/crash-$name-" "build-fuzz/corpus-$name" "${seeds[@]}" \
			2>&1 | tail -n 2
	done
	;;
release)
	setup build-release -Dwerror=true --buildtype=release
	meson test -C build-release --no-rebuild --suite anywhere --print-errorlogs
	;;
*)
	sed -n '3,8p' "$0" | sed 's/^# \{0,1\}//'
	exit 2
	;;
esac
