#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# frontier.sh - frontier for a while: readers at the tail, bytes checked. --tsan: built with gcc's thread
# sanitizer (build-tsan), which must have nothing to report of the words between threads.
#
# Usage: tests/crash/frontier.sh [--tsan] [FRONTIER'S OPTIONS]
# quick: --seconds 15
# quick: --tsan --seconds 8
# asan: --seconds 8
# long: --seconds 1800 --seed {seed}
# long: --tsan --seconds 600 --seed {seed}
# about: include storage tests/crash tests/unit/storage/make_batch.h
# timeout: 400
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${KIRA_BUILD:-build}
if [ "${1:-}" = --tsan ]; then
	shift
	build=build-tsan
	# Warnings are no errors: gcc says of each fence that it does not model it (the words themselves are atomic).
	[ -e $build/build.ninja ] || meson setup $build -Db_sanitize=thread > /dev/null
	ninja -C $build tests/crash/frontier > $build/log 2>&1 || { tail -n 20 $build/log; exit 1; }
	export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
	# Without random addresses: some kernels' are outside of what the sanitizer can map.
	exec setarch -R $build/tests/crash/frontier "$@"
fi
exec "$build/tests/crash/frontier" "$@"
