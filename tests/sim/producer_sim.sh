#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# producer_sim.sh - producer_sim over 200,000 seeds.
# about: include storage dataplane tests/sim/producer_sim* tests/unit/dataplane/world.c
# long: 4 x --from {seed} --seeds 50000
set -euo pipefail
exec "${KIRA_BUILD:-build}/tests/sim/producer_sim" "$@"
