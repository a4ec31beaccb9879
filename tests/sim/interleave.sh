#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# interleave.sh - interleave over every pair of labels; the long one with seeds that nobody saw before.
# about: include storage tests/sim/sim_* tests/sim/interleave* tests/unit/storage
# quick: --seeds 100000
# asan: --seeds 5000
# long: 2 x --seed {seed} --seeds 5000000
# timeout: 180
set -euo pipefail
exec "${KIRA_BUILD:-build}/tests/sim/interleave" "$@"
