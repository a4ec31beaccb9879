#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# op_sequences.sh - op_sequences, with the numbers of nightly.sh; meson runs the quick ones.
# about: include storage tests/sim/sim_* tests/sim/page_sim*
# long: --length 3 --double 1000 --seed {seed}
set -euo pipefail
exec "${KIRA_BUILD:-build}/tests/sim/op_sequences" "$@"
