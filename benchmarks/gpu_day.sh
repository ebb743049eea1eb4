#!/usr/bin/env bash
# A day with a GPU on a bare machine: Python and torch, neither DVC nor MLflow nor a network.
#
#   benchmarks/gpu_day.sh tests | speed | boards BOARD…
#
# Each call ends before GPU_DAY_SECONDS (540) and goes on where the last one stopped; speed measures the extractors that
# boards has prepared, so it comes after it. What is carried along:
#   GPU_DAY_WHEELS  a folder of wheels for what is missing (pydantic, torch-fidelity, …: docs/cluster.md)
#   GM_BENCH_MIRROR originals of the datasets (docs/datasets.md)
#   GM_BENCH_INCEPTION_WEIGHTS where the protocol of a dataset names that extractor (docs/metrics.md)
# GPU_DAY_WORK (~/gpu_day) keeps everything between calls, and $OUT (GPU_DAY_WORK/out) gets few files to bring back.
# More: GPU_DAY_JOBS (8) cells side by side, GPU_DAY_DEVICE (cuda); GPU_DAY_WORK/boards/params.yaml, a copy made at the
# first call, has the budgets, the extractors and the variants of the boards: further variants are added there.
set -euo pipefail
for path in GPU_DAY_WORK GPU_DAY_WHEELS GM_BENCH_MIRROR GM_BENCH_INCEPTION_WEIGHTS OUT; do
  # The stages run in another folder. A mirror may be a URL.
  [[ -z ${!path:-} || ${!path} == *://* ]] || export "$path=$(realpath -m "${!path}")"
done
cd "$(dirname "$0")/.."
began=$SECONDS
seconds=${GPU_DAY_SECONDS:-540}
work=${GPU_DAY_WORK:-$HOME/gpu_day}
out=${OUT:-$work/out}
mkdir -p "$work" "$out"
export PYTHONPATH="$PWD:$work/packages${PYTHONPATH:+:$PYTHONPATH}" GM_BENCH_DEVICE=${GPU_DAY_DEVICE:-cuda}
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 CUBLAS_WORKSPACE_CONFIG=:4096:8
if [[ -n ${GPU_DAY_WHEELS:-} && ! -e $work/packages ]]; then
  rm -rf "$work/half"
  python3 -m pip install --quiet --no-index --no-deps --target "$work/half" "$GPU_DAY_WHEELS"/*.whl
  mv "$work/half" "$work/packages"
fi
what=${1:?say tests, speed or boards}
shift
left() { local s=$((seconds - (SECONDS - began))); echo $((s > 1 ? s : 1)); }
case $what in
  tests)  # of the files that have such tests: others import what is not here. A capture that fails spoils what follows
    if [[ $GM_BENCH_DEVICE == cuda ]]; then
      python3 -c 'import torch; torch.cuda.is_available() or exit("torch finds no GPU here: every test would be skipped")'
    fi
    : >"$out/tests.txt"
    mapfile -t files < <(grep -rl 'mark\.gpu' --include='test_*.py' tests)
    failed=0
    for which in "not captured" captured; do
      timeout -s INT -k 20 "$(left)" python3 -m pytest -p no:cacheprovider -vv --tb=short -rfEs -m gpu -k "$which" \
        "${files[@]}" 2>&1 | tee -a "$out/tests.txt" || failed=1
    done
    exit "$failed" ;;
  speed) timeout "$(left)" python3 benchmarks/gpu.py --device "$GM_BENCH_DEVICE" --out "$out/gpu.json" \
    --extractors "$work/boards/extractors" "$@" ;;
  boards) python3 benchmarks/gpu_day.py "$work" "$out" --seconds "$(left)" --jobs "${GPU_DAY_JOBS:-8}" "$@" ;;
  *) echo "unknown: $what; choose tests, speed or boards" >&2; exit 1 ;;
esac
