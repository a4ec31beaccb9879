#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# page_sim.sh - page_sim for MINUTES, from SEED on.
# about: include storage tests/sim
# long: --seed {seed} --minutes {minutes}
set -euo pipefail
exec "${KIRA_BUILD:-build}/tests/sim/page_sim" "$@"
