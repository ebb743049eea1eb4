"""What stages depend on: which files of resolved/ change with which code and with which parameter."""

import copy
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gm_bench.config import Params, load_params
from gm_bench.running import code, resolve
from gm_bench.tracks import settings
from gm_bench.yaml_text import dump_yaml, load_yaml
from pipelines import resolve as stage

ROOT = Path(__file__).resolve().parents[2]
BOARDS = ("all", "mnist")
DATASETS = ("digits", "mnist", "cifar10")
Files = dict[str, str]


class Copy:
    """A copy of the package whose code is hashed in place of the one that runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, file: str, text: str = "more = 1\n") -> None:
        with (self.folder / file).open("a", encoding="utf-8") as opened:
            opened.write(text)

    def resolved(self, params: Params) -> Files:
        """File → content, below resolved/."""
        forget()
        for board in BOARDS:
            resolve.board(params, board)
        for dataset in DATASETS:
            resolve.dataset(params, dataset)
        resolve.audit(params)
        return {
            str(path.relative_to("resolved")): path.read_text(encoding="utf-8")
            for path in Path("resolved").rglob("*.json")
        }

    def stale_after(self, params: Params, *files: str) -> set[str]:
        """Which resolved files change when these files of the package get another line of code."""
        before = self.resolved(params)
        for file in files:
            self.add(file)
        return changed(before, self.resolved(params))


def forget() -> None:
    """A process of its own reads each file once."""
    for cached in (code.find, code._text, code._imports):
        cached.cache_clear()


def changed(before: Files, after: Files) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Copy]:
    ignored = shutil.ignore_patterns("__pycache__", "*.safetensors")
    for name in ("gm_bench", "pipelines"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / ".dvc").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield Copy(tmp_path)
    forget()


def of_cells(board: str, dataset: str, variants: set[str], *stages: str) -> set[str]:
    return {f"boards/{board}/{dataset}/{variant}/{stage}.json" for variant in variants for stage in stages}


def on_all_boards(params: Params, *stages: str, variants: set[str] | None = None) -> set[str]:
    """Of both boards, less variants that one of them does not have."""
    found: set[str] = set()
    for board, dataset in (("all", "digits"), ("mnist", "mnist")):
        there = set(params.board(board).variants)
        found |= of_cells(board, dataset, there & (variants or there), *stages)
    return found


def of_datasets(*stages: str, datasets: tuple[str, ...] = DATASETS) -> set[str]:
    return {f"datasets/{dataset}/{stage}.json" for dataset in datasets for stage in stages}


def test_every_stage_has_its_file(package: Copy, params: Params) -> None:
    audited = {f"audit/digits/{stage}.json" for stage in ("measure", "report")}
    assert package.resolved(params).keys() == (
        on_all_boards(params, "train", "sample", "evaluate")
        | of_datasets("fetch", "extractor", "weights", "reference")
        | audited
    )


def test_other_pinned_weights_concern_the_extractor_of_their_dataset(
    package: Copy, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned = package.folder / "gm_bench/metrics/extractors/weights/lenet.json"
    monkeypatch.setattr(settings, "PINNED", pinned)
    before = package.resolved(params)
    records = json.loads(pinned.read_text(encoding="utf-8"))
    said = {name: json.loads(before[f"datasets/{name}/weights.json"])["pinned"] for name in DATASETS}
    assert said == {
        "digits": records["digits"]["sha256"],
        "mnist": records["mnist"]["sha256"],
        "cifar10": None,
    }
    records["mnist"]["sha256"] = 64 * "0"
    pinned.write_text(json.dumps(records), encoding="utf-8")
    assert changed(before, package.resolved(params)) == {"datasets/mnist/weights.json"}
    extractor = load_yaml((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["extractor"]
    assert "resolved/datasets/${item.dataset}/weights.json" in extractor["deps"]


def test_what_no_number_depends_on_makes_nothing_stale(package: Copy, params: Params) -> None:
    """New methods, networks and metrics, and changes of all that shows, drives or keeps results.

    But for the report of the audit, which prints titles of the catalogue.
    """
    assert package.stale_after(
        params,
        "gm_bench/variants/new.py",
        "gm_bench/nets/new.py",
        "gm_bench/metrics/new.py",
        "gm_bench/metrics/catalogue.py",
        "gm_bench/metrics/extractors/new.py",
        "gm_bench/data/loaders/new.py",
        *(f"gm_bench/report/{name}.py" for name in ("page", "charts", "tables", "drawing", "display")),
        *(f"gm_bench/running/{name}.py" for name in ("runner", "boards", "code", "resolve", "console")),
        *(f"gm_bench/tracking/{name}.py" for name in ("store", "live", "record")),
        *(f"gm_bench/results/{name}.py" for name in ("leaderboard", "regression", "ranking")),
        *(f"gm_bench/tracks/generation/{name}.py" for name in ("track", "charts", "pages", "stages")),
        "gm_bench/tracks/publishing.py",
        "gm_bench/config.py",
        "gm_bench/cli/__init__.py",
        "pipelines/train.py",
    ) == {"audit/digits/report.json"}


def test_comments_and_docstrings_make_nothing_stale(package: Copy, params: Params) -> None:
    before = package.resolved(params)
    for file in ("gm_bench/training/loop.py", "gm_bench/variants/wgan.py", "gm_bench/metrics/sharpness.py"):
        package.add(file, '\n\n# A thought.\n"""And another."""\n')
    assert package.resolved(params) == before


@pytest.mark.parametrize(
    ("file", "variants"),
    [
        ("began", {"began"}),
        ("wgan_gp", {"wgan_gp", "wgan_div", "dragan"}),  # two use its slopes
        ("wgan", {"wgan", "wgan_gp", "wgan_div", "sngan", "sngan_projection", "dragan"}),
        ("lsgan", {"lsgan", "lsgan_pearson"}),
    ],
)
def test_a_changed_loss_concerns_who_uses_it(
    package: Copy, params: Params, file: str, variants: set[str]
) -> None:
    assert package.stale_after(params, f"gm_bench/variants/{file}.py") == on_all_boards(
        params, "train", "sample", variants=variants
    )


def test_a_changed_network_concerns_who_is_built_of_it(package: Copy, params: Params) -> None:
    """On the tiny recipes that is vq_vae alone; the board mnist does not have it."""
    assert package.stale_after(params, "gm_bench/nets/dcgan.py") == of_cells(
        "all", "digits", {"vq_vae"}, "train", "sample"
    )


def test_the_loop_concerns_training_alone(package: Copy, params: Params) -> None:
    assert package.stale_after(params, "gm_bench/training/loop.py") == on_all_boards(params, "train")


def test_a_changed_metric_concerns_what_measures(package: Copy, params: Params) -> None:
    assert package.stale_after(params, "gm_bench/metrics/sharpness.py") == (
        on_all_boards(params, "evaluate") | of_datasets("reference") | {"audit/digits/measure.json"}
    )


def test_loaders_and_extractors_concern_their_datasets(package: Copy, params: Params) -> None:
    stale = package.stale_after(
        params, "gm_bench/data/loaders/mnist.py", "gm_bench/metrics/extractors/efficientnet_lite0.py"
    )
    assert stale == (
        of_datasets("fetch", datasets=("mnist",))
        | of_datasets("extractor", "reference", datasets=("cifar10",))
    )


def edited(change: Callable[[dict[str, Any]], object]) -> Params:
    content = copy.deepcopy(load_yaml((ROOT / "params.yaml").read_text(encoding="utf-8")))
    change(content)
    Path("params.yaml").write_text(dump_yaml(content), encoding="utf-8")
    return load_params()


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        (
            lambda p: p["variants"]["wgan_gp"]["tiny"]["optimiser"].update(lr=1e-4),
            of_cells("all", "digits", {"wgan_gp"}, "train"),
        ),
        (
            lambda p: p["datasets"]["digits"]["protocol"].update(neighbours=4),
            {"datasets/digits/reference.json", "audit/digits/measure.json"},
        ),
        (lambda p: p["boards"]["quick"].update(n_images=64), set()),
        (lambda p: p["boards"]["all"].update(seeds=[7, 8]), set()),
        (lambda p: p["tracks"]["audit"].update(noise_multiple=4.0), {"audit/digits/report.json"}),
        (lambda p: p["datasets"]["mnist"]["source"].update(folder="else"), {"datasets/mnist/fetch.json"}),
    ],
    ids=["rate", "neighbours", "another board", "seeds", "audit", "source"],
)
def test_a_parameter_concerns_what_reads_it(
    package: Copy, params: Params, change: Callable[[dict[str, Any]], object], stale: set[str]
) -> None:
    before = package.resolved(params)
    found = changed(before, package.resolved(edited(change)))
    if "datasets/digits/reference.json" in stale:
        stale = stale | of_cells("all", "digits", set(params.variants), "evaluate")
    assert found == stale


def test_a_stage_writes_what_a_process_of_its_own_finds(package: Copy, params: Params) -> None:
    """python -m pipelines.resolve, on code that only the copy has."""
    package.add("gm_bench/variants/vae.py")
    here = package.resolved(params)
    shutil.rmtree("resolved")
    environ = os.environ | {"PYTHONPATH": str(package.folder)}
    for words in (("board", "all"), ("dataset", "digits")):
        subprocess.run([sys.executable, "-m", "pipelines.resolve", *words], env=environ, check=True)
    there = {
        str(path.relative_to("resolved")): path.read_text(encoding="utf-8")
        for path in Path("resolved").rglob("*.json")
    }
    assert there == {name: here[name] for name in here if name.startswith(("boards/all", "datasets/digits"))}


# The files themselves


def test_the_audit_needs_no_name_and_the_others_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy("params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    stage.main("audit")
    assert {str(path) for path in Path("resolved").rglob("*.json")} == {
        "resolved/audit/digits/measure.json",
        "resolved/audit/digits/report.json",
    }
    for what in ("board", "dataset"):
        with pytest.raises(ValueError, match=f"give the name of a {what} in params.yaml as well"):
            stage.main(what)


def test_unchanged_files_are_left_alone_and_gone_cells_go(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    resolve.board(params, "quick")
    files = {path: path.stat().st_mtime_ns for path in Path("resolved").rglob("*.json")}
    assert len(files) == 3 * 3
    fewer = edited(lambda p: p["boards"]["quick"].update(variants=["vae"], n_images=64))
    resolve.board(fewer, "quick")
    left = {path: path.stat().st_mtime_ns for path in Path("resolved").rglob("*.json")}
    assert {path.parent.name for path in left} == {"vae"}
    assert [path.name for path in left if left[path] != files[path]] == ["train.json"]


def test_what_dvc_keeps_is_not_written_through(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC may have put a link to its cache in place of an output."""
    monkeypatch.chdir(tmp_path)
    resolve.board(params, "quick")
    file, kept = Path("resolved/boards/quick/digits/vae/train.json"), tmp_path / "kept"
    content = file.read_text().replace("100000", "64")
    kept.write_text(content)
    file.unlink()
    file.symlink_to(kept)
    resolve.board(params, "quick")
    assert resolve.read(file)["n_images"] == 100_000
    assert kept.read_text() == content


def test_a_file_that_is_missing_or_damaged_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="is not there: the stage resolve writes it"):
        resolve.read(tmp_path / "train.json")
    (tmp_path / "train.json").write_text('{"recipe":', encoding="utf-8")
    with pytest.raises(OSError, match=r"is damaged \(.*\): delete it and rerun its board"):
        resolve.read(tmp_path / "train.json")


def test_cells_of_further_seeds_depend_on_what_the_boards_own_do(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for under in (None, "mnist.more"):
        resolve.board(params, "mnist", under=under)
    files = {
        name: {
            file.relative_to(f"resolved/boards/{name}"): file.read_text(encoding="utf-8")
            for file in Path("resolved/boards", name).rglob("*.json")
        }
        for name in ("mnist", "mnist.more")
    }
    assert files["mnist"]
    assert files["mnist"] == files["mnist.more"]
