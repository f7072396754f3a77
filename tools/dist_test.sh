#!/usr/bin/env bash
# Test on several GPUs:
#   bash tools/dist_test.sh CONFIG CHECKPOINT NUM_GPUS [arguments of tools/test.py]
# On several machines, run it on each; see docs/clusters.md.
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: bash tools/dist_test.sh CONFIG CHECKPOINT NUM_GPUS [arguments of tools/test.py]" >&2
    exit 2
fi
config=$1 checkpoint=$2 gpus=$3
shift 3
exec "${PYTHON:-python}" "$(dirname "$0")/launch.py" test.py "$gpus" "$config" "$checkpoint" "$@"
