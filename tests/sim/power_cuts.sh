#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# power_cuts.sh - page_sim for a while, from a seed that follows from the date.
# long: {minutes}
set -euo pipefail
exec "${KIRA_BUILD:-build}/tests/sim/page_sim" --seed "$(($(date +%s) * 1000))" --seconds "$((${1:-1} * 60))"
