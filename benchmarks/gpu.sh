#!/usr/bin/env bash
# Set up, check and time everything on a machine with a GPU, in one call:
#
#     bash benchmarks/gpu.sh [OUT]        # OUT: folder for tests.txt, table.txt and rows.json
#
# First whether the GPU computes what the CPU computes, then the benchmarks that have GPU rows.
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=${1:-work_dirs/gpu}
mkdir -p "$OUT"
make .venv/.ready
.venv/bin/python -m pytest -q -rs tests/models 2>&1 | tee "$OUT/tests.txt" || true
.venv/bin/python tools/benchmark.py head heads adapters training inference metric --repeats 5 \
    --out "$OUT/rows.json" | tee "$OUT/table.txt"
