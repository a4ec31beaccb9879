#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# asleep.sh - asleep for a while. --tsan: built with gcc's thread sanitizer, as frontier.sh.
# quick: --tsan --seconds 10
# long: --tsan --seconds 600 --seed {seed}
# about: include storage tests/crash tests/unit/storage/make_batch.h
# timeout: 400
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${KIRA_BUILD:-build}
if [ "${1:-}" = --tsan ]; then
	shift
	build=build-tsan
	[ -e $build/build.ninja ] || meson setup $build -Db_sanitize=thread > /dev/null
	ninja -C $build tests/crash/asleep > $build/asleep.log 2>&1 || { tail -n 20 $build/asleep.log; exit 1; }
	export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
	exec setarch -R $build/tests/crash/asleep "$@"
fi
exec "$build/tests/crash/asleep" "$@"
