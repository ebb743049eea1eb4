"""What a GPU makes of training and of extractors: python benchmarks/gpu.py [--out FILE.json]

Images per second of ns_gan, wgan_gp and vae by the recipe `grey` at 28 and 32 pixels: eager, captured, and k
cells side by side as processes, which begin together and of which the sum counts. Then images per second of
extractors, on noise of their dataset's shape: that of data/DATASET/card.json beside the folder of extractors,
or else a guess by the name. Each stands beside what the card can do: its own speed in a large product of
matrices, FP32 and TF32, measured here. `--device cpu --seconds 1` tries the script where there is no GPU.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from gm_bench import io
from gm_bench.cell import DATA, Cell
from gm_bench.config import load_params
from gm_bench.derived import Facts
from gm_bench.metrics.extractors.features import WeightsError, extract
from gm_bench.metrics.extractors.loading import load_extractor
from gm_bench.reproducibility import describe, make_deterministic, set_precision
from gm_bench.training.capture import WARM_UP_ROUNDS
from gm_bench.training.cost import OperationCount
from gm_bench.training.in_memory import train_in_memory
from gm_bench.training.job import Job
from gm_bench.training.recipe import Recipe
from gm_bench.training.state import start

VARIANTS, SIDES = ("ns_gan", "wgan_gp", "vae"), (28, 32)
N_DATA = 8192
SIDE_OF_PRODUCT = 8192


def settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def speed_of_training(
    variant: str, side: int, capture: bool, tf32: bool, seconds: float, device: torch.device
) -> dict[str, float]:
    """Images and floating-point operations per second of one cell, after some rounds of warming up."""
    make_deterministic()
    set_precision(tf32)
    made = load_params().recipe(variant, "grey").model_dump() | {"capture": capture, "tf32": tf32}
    job = Job(Cell("mnist", "mnist", variant, 0), Recipe.model_validate(made), 10**9)
    images = torch.randint(0, 256, (N_DATA, 1, side, side), device=device).byte()
    data = {"images": images, "labels": torch.arange(N_DATA, device=device) % 10}
    state = start(job, (1, side, side), 10, device)

    ends = [time.monotonic() + seconds / 4, 0.0]
    began = [0, 0.0]

    def is_over() -> bool:
        """Once the warm-up has ended, look at the clock for the rest; the graphs of one call are kept."""
        if not ends[1] and time.monotonic() > ends[0] and state.rounds > 2 * WARM_UP_ROUNDS:
            settle(device)
            began[:] = [state.images, time.monotonic()]
            ends[1] = time.monotonic() + seconds
        return bool(ends[1]) and time.monotonic() > ends[1]

    train_in_memory(state, job, data, stop_asked=is_over)
    settle(device)
    spent = time.monotonic() - began[1]
    rate = (state.images - began[0]) / spent
    per_image = state.flops * state.rounds / state.images
    return {"images_per_second": rate, "flops_per_second": rate * per_image}


def side_by_side(k: int, arguments: list[str]) -> dict[str, float]:
    """The sum over k processes that measure one cell each at the same time."""
    command = [sys.executable, __file__, "--one", *arguments]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(k)]
    told = [json.loads(process.communicate()[0].splitlines()[-1]) for process in processes]
    return {key: sum(each[key] for each in told) for key in told[0]}


def limit(tf32: bool, device: torch.device, side: int) -> float:
    """Floating-point operations per second of a product of two square matrices of float32."""
    set_precision(tf32)
    a, b = (torch.randn(side, side, device=device) for _ in range(2))
    for _ in range(2):
        a @ b
    settle(device)
    began, n = time.monotonic(), 5
    for _ in range(n):
        a @ b
    settle(device)
    return n * 2 * side**3 / (time.monotonic() - began)


def shape_of(dataset: str, data: Path) -> tuple[int, int, int]:
    """(C, H, W) as the card of a dataset says; where it was not fetched, what its name suggests."""
    card = data / dataset / "card.json"
    if card.exists():
        return Facts.of_card(io.read_json(card)).shape
    return (1, 28, 28) if "mnist" in dataset else (1, 8, 8) if dataset == "digits" else (3, 32, 32)


def speed_of_extractor(
    folder: Path, shape: tuple[int, int, int], n: int, device: torch.device
) -> dict[str, float]:
    """Images and floating-point operations per second of the network in extractors/DATASET."""
    make_deterministic()
    _, extractor = load_extractor(folder, shape)
    images = torch.randint(0, 256, (n, *shape)).byte()
    with OperationCount() as counted:
        extract(extractor, images[:100], device)
    settle(device)
    began = time.monotonic()
    extract(extractor, images, device)
    settle(device)
    rate = n / (time.monotonic() - began)
    return {"images_per_second": rate, "flops_per_second": rate * counted.total / 100}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--cells", default="1,4,8,16", help="k, comma by comma")
    parser.add_argument("--extractors", type=Path, default=Path("extractors"), help="folder of prepared ones")
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--one", nargs=4, metavar=("VARIANT", "SIDE", "CAPTURE", "TF32"), help="one cell alone"
    )
    options = parser.parse_args()
    device = torch.device(options.device)
    if options.one:
        variant, side, capture, tf32 = options.one
        told = speed_of_training(variant, int(side), capture == "1", tf32 == "1", options.seconds, device)
        sys.stdout.write(json.dumps(told) + "\n")
        return
    side = SIDE_OF_PRODUCT if device.type == "cuda" else 512
    limits = {tf32: limit(tf32, device, side) for tf32 in (False, True)}
    rows: list[dict[str, Any]] = []

    def note(told: dict[str, float], tf32: bool, **what: object) -> None:
        share = told["flops_per_second"] / limits[tf32]
        rows.append({**what, "tf32": tf32, **told, "share_of_limit": share})
        words = " ".join(str(value) for value in what.values())
        rate = f"{told['images_per_second']:,.0f} images/s, {share:.1%} of the card"
        sys.stdout.write(f"{words}{' tf32' if tf32 else ''}: {rate}\n")
        sys.stdout.flush()
        if options.out:
            content = {"device": describe(device), "torch": torch.__version__, "limits": limits, "rows": rows}
            options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    for tf32, value in limits.items():
        sys.stdout.write(
            f"{describe(device)}, {'TF32' if tf32 else 'FP32'} product: {value / 1e12:.2f} TFLOP/s\n"
        )
    prepared = sorted(path.parent.name for path in options.extractors.glob("*/extractor.json"))
    if not prepared:
        sys.stderr.write(
            f"no extractor is measured: {options.extractors} has none, a board's run makes them\n"
        )
    for dataset in prepared:
        shape = shape_of(dataset, options.extractors.parent / DATA)
        n = 10_000 if device.type == "cuda" else 200
        try:
            told = speed_of_extractor(options.extractors / dataset, shape, n, device)
        except WeightsError as error:
            sys.stderr.write(f"{dataset}: not measured: {error}\n")
            continue
        note(told, False, what="extractor", dataset=dataset, shape="×".join(map(str, shape)))
    for pixels in SIDES:
        for variant in VARIANTS:
            for capture in (False, True):
                for tf32 in (False, True):
                    told = speed_of_training(variant, pixels, capture, tf32, options.seconds, device)
                    note(told, tf32, variant=variant, side=pixels, how="captured" if capture else "eager")
            for k in map(int, options.cells.split(",")):
                arguments = [variant, str(pixels), "1", "0", "--device", options.device]
                told = side_by_side(k, [*arguments, "--seconds", str(options.seconds)])
                note(told, False, variant=variant, side=pixels, how=f"captured × {k}")


if __name__ == "__main__":
    main()
