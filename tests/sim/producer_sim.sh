#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# producer_sim.sh - producer_sim for a while, from a seed that follows from the date.
# long: {minutes}
set -euo pipefail
exec "${KIRA_BUILD:-build}/tests/sim/producer_sim" --from "$(($(date +%s) * 1000))" --minutes "${1:-1}"
