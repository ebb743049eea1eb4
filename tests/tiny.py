"""A copy of this repository with a grid and a budget that take a minute: python tests/tiny.py FOLDER."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from gm_bench.yaml_text import dump_yaml, load_yaml

ROOT = Path(__file__).resolve().parent.parent
GRID = {"datasets": ["digits"], "variants": ["vae", "wgan"], "seeds": [0, 1]}
N_IMAGES = 64 * 100


def make(folder: Path, **grid: Any) -> Path:
    """Copy what git tracks (or would) into `folder`, with a DVC of its own, and cut params.yaml down."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listing.stdout.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "reports/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / "dvc.lock").unlink(missing_ok=True)
    (folder / ".dvc/config.local").write_text("[core]\n    no_scm = true\n", encoding="utf-8")
    change(folder, lambda params: params["boards"]["digits"].update(GRID | {"n_images": N_IMAGES} | grid))
    return folder


def change(folder: Path, edit: Any) -> None:
    """Edit a copy's params.yaml."""
    path = folder / "params.yaml"
    params = load_yaml(path.read_text(encoding="utf-8"))
    edit(params)
    path.write_text(dump_yaml(params), encoding="utf-8")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
