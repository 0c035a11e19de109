#!/bin/sh
# Checks and measures zktrain on a machine with one NVIDIA GPU and no network, in at most 8 minutes.
# See scripts/gpu_check.py, or: scripts/gpu_check.sh --help
exec "${PYTHON:-python3}" "$(dirname "$0")/gpu_check.py" "$@"
