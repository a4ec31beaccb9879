#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# producer_sim.sh - producer_sim for a while.
# about: include storage dataplane tests/sim
# long: --from {seed} --minutes {minutes}
set -euo pipefail
exec "${KIRA_BUILD:-build}/tests/sim/producer_sim" "$@"
