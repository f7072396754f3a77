#!/usr/bin/env bash
# Train on several GPUs:
#   bash tools/dist_train.sh CONFIG NUM_GPUS [arguments of tools/train.py]
# On several machines, run it on each; see docs/clusters.md.
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: bash tools/dist_train.sh CONFIG NUM_GPUS [arguments of tools/train.py]" >&2
    exit 2
fi
config=$1 gpus=$2
shift 2
exec "${PYTHON:-python}" "$(dirname "$0")/launch.py" train.py "$gpus" "$config" "$@"
