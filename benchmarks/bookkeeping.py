"""What DVC's bookkeeping costs a stage: its own way through dvc.lock against running/dvc.py.

    python benchmarks/bookkeeping.py [--cells N]

After every stage dvc.lock is read and written once, and every look at a stage needs params.yaml. Measured on
the committed dvc.lock, and on one of N cells made of its entries under other seeds.
"""

import argparse
import copy
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from dvc.utils import serialize

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gm_bench.running import dvc  # noqa: E402

REPEATS = 3


def grown(lock: Path, n_cells: int) -> str:
    """A lock file like `lock` with the three stages of n cells."""
    content = serialize.load_yaml(str(lock))
    stages = {name: entry for name, entry in content["stages"].items() if name.count("-") < 2}
    cells = [n.partition("@")[2] for n in content["stages"] if n.startswith("train@")]
    for i in range(n_cells):
        like = cells[i % len(cells)]
        for stage in ("train", "sample", "evaluate"):
            stages[f"{stage}@{like}{i}"] = copy.deepcopy(content["stages"][f"{stage}@{like}"])
    return serialize.dumps_yaml({"schema": "2.0", "stages": stages})


def median_seconds(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(REPEATS):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return statistics.median(seconds)


def rewrite(modify: Callable, lock: Path) -> None:
    with modify(str(lock)) as content:
        content["stages"] = content["stages"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=78, help="as many as 26 variants under 3 seeds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder, "dvc.lock")
        for n_cells in (21, options.cells):
            lock.write_text(grown(ROOT / "dvc.lock", n_cells), encoding="utf-8")
            own = median_seconds(lambda: rewrite(serialize.modify_yaml, lock))
            ours = median_seconds(lambda: rewrite(dvc.modify, lock))
            print(  # noqa: T201
                f"dvc.lock of {n_cells} cells, read and written after a stage: "
                f"{own:.2f} s by DVC, {ours:.2f} s here, ratio {ours / own:.2f}"
            )
    params = str(ROOT / "params.yaml")
    own = median_seconds(lambda: serialize.load_yaml(params))
    dvc.load(params)
    ours = median_seconds(lambda: dvc.load(params))
    print(f"params.yaml for one stage: {own:.3f} s by DVC, {ours:.6f} s here once it was read")  # noqa: T201


if __name__ == "__main__":
    main()
