#!/usr/bin/env bash
# A day with a GPU on a bare machine: Python and torch, neither DVC nor MLflow nor a network.
#
#   benchmarks/gpu_day.sh tests | speed | boards BOARD…
#
# Each call ends before GPU_DAY_SECONDS (540) and goes on where the last one stopped; speed measures the extractors that
# boards has prepared, so it comes after it. What is carried along:
#   GPU_DAY_WHEELS  a folder of wheels for what is missing (pydantic, typer, safetensors, torch-fidelity, …)
#   GM_BENCH_MIRROR originals of the datasets (docs/datasets.md)
#   GM_BENCH_INCEPTION_WEIGHTS for cifar10, unless its protocol names another extractor (docs/metrics.md)
# GPU_DAY_WORK (~/gpu_day) keeps everything between calls, and $OUT (GPU_DAY_WORK/out) gets few files to bring back.
# More: GPU_DAY_JOBS (8) cells side by side, GPU_DAY_DEVICE (cuda); GPU_DAY_WORK/boards/params.yaml, a copy made at the
# first call, has the budgets, the extractors and the variants of the boards: further variants are added there.
set -euo pipefail
cd "$(dirname "$0")/.."
began=$SECONDS
seconds=${GPU_DAY_SECONDS:-540}
work=${GPU_DAY_WORK:-$HOME/gpu_day}
out=${OUT:-$work/out}
mkdir -p "$work" "$out"
export PYTHONPATH="$PWD:$work/packages${PYTHONPATH:+:$PYTHONPATH}" GM_BENCH_DEVICE=${GPU_DAY_DEVICE:-cuda}
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 CUBLAS_WORKSPACE_CONFIG=:4096:8
if [[ -n ${GPU_DAY_WHEELS:-} && ! -e $work/packages ]]; then
  python3 -m pip install --quiet --no-index --no-deps --target "$work/packages" "$GPU_DAY_WHEELS"/*.whl
fi
what=${1:?say tests, speed or boards}
shift
left() { echo $((seconds - (SECONDS - began))); }
case $what in
  tests) timeout "$(left)" python3 -m pytest -m gpu -q tests 2>&1 | tee "$out/tests.txt" ;;
  speed) timeout "$(left)" python3 benchmarks/gpu.py --device "$GM_BENCH_DEVICE" --out "$out/gpu.json" \
    --extractors "$work/boards/extractors" "$@" ;;
  boards) python3 benchmarks/gpu_day.py "$work" "$out" --seconds "$(left)" --jobs "${GPU_DAY_JOBS:-8}" "$@" ;;
  *) echo "unknown: $what; choose tests, speed or boards" >&2; exit 1 ;;
esac
