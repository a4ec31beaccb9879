#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# page_sim.sh - page_sim, with the numbers of test.sh and of nightly.sh.
# about: include storage tests/sim/sim_* tests/sim/page_sim*
# quick: --states 100000 --traces 20
# long: --seed {seed} --traces 200
# long: --seed {seed} --minutes {minutes}
# timeout: 240
set -euo pipefail
exec "${KIRA_BUILD:-build}/tests/sim/page_sim" "$@"
