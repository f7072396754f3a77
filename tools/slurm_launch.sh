#!/usr/bin/env bash
# Used by slurm_train.sh and slurm_test.sh: one launcher per node, which starts a process per GPU.
#   bash tools/slurm_launch.sh TOOL PARTITION JOB_NAME [arguments of the tool]
set -euo pipefail
tool=$1 partition=$2 name=$3
shift 3
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
if ((gpus % per_node)); then
    echo "error: GPUS=$gpus is not a multiple of GPUS_PER_NODE=$per_node" >&2
    exit 2
fi
# each node reads its number, and the first node's name, from what Slurm sets there
node='NNODES=$SLURM_NNODES NODE_RANK=$SLURM_NODEID PORT=${PORT:-$((20000 + SLURM_JOB_ID % 10000))} \
    MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1) exec "$@"'
# shellcheck disable=SC2086
exec srun --partition="$partition" --job-name="$name" --nodes=$((gpus / per_node)) \
    --ntasks-per-node=1 --gres="gpu:$per_node" \
    --cpus-per-task=$((per_node * ${CPUS_PER_GPU:-4})) --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    bash -c "$node" node \
    "${PYTHON:-python}" "$(dirname "$0")/launch.py" "$tool" "$per_node" "$@"
