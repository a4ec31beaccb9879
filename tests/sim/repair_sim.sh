#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# repair_sim.sh - kira repair cut at every system call, of many damaged logs.
# about: include storage tests/sim/sim_* tests/sim/repair_sim.c
# long: --seed {seed} --seeds 400
set -euo pipefail
exec "${KIRA_BUILD:-build}/tests/sim/repair_sim" "$@"
