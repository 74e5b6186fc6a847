#!/usr/bin/env bash
# Makes the data of every figure of the paper and draws it: runs and benchmarks first, reports and figures after.
#
#   scripts/reproduce_paper.sh --dry-run     what would run, and what it would cost
#   scripts/reproduce_paper.sh               all of it; stopped and started again, it goes on where it was
#   RESULTS=folder scripts/reproduce_paper.sh fig-tradeoff fig-attention-time      only some figures
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
results="${RESULTS:-results}"

if [ "${1:-}" = "--dry-run" ]; then
    shift
    harness figures "$@" --commands --results "$results"
    harness figures "$@" --cost
    exit
fi
harness figures "$@" --commands --results "$results" | while IFS= read -r line; do
    printf '+ %s\n' "$line"
    bash -euc "$line" </dev/null
done
