#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# nth_failure.sh - nth_failure at every system call of a day; the long one with days that nobody saw before.
# about: include storage tests/sim/sim_* tests/sim/nth_failure.c tests/unit/storage
# quick: --seeds 1 --every 1
# asan: --seeds 1 --every 9
# long: 2 x --seed {seed} --seconds 1200 --every 1
# timeout: 180
set -euo pipefail
exec "${KIRA_BUILD:-build}/tests/sim/nth_failure" "$@"
