#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# rewrite_sim.sh - page_sim, with power cuts at every call of the rewriting of sealed segments and nowhere
# else; readers look between the calls.
# about: include storage tests/sim/sim_* tests/sim/page_sim*
# quick: --states 5000
# long: --seed {seed} --states 40000
# timeout: 120
set -euo pipefail
exec "${KIRA_BUILD:-build}/tests/sim/page_sim" --rewrites "$@"
