"""The dvc.yaml of every board: whose stages it holds, under which axes, and that DVC can read it."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gm_bench.cell import Cell
from gm_bench.config import ConfigError, Params, load_params
from gm_bench.running import boards, runner
from gm_bench.running.chains import board_chain, cell_chain, dataset_chain
from gm_bench.yaml_text import dump_yaml, load_yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the files that stages are written after."""
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "pipelines/audit").mkdir(parents=True)
    shutil.copy(ROOT / "pipelines/audit/stages.yaml", tmp_path / "pipelines/audit")
    monkeypatch.chdir(tmp_path)


def content(file: str) -> dict[str, Any]:
    return load_yaml(Path(file).read_text(encoding="utf-8"))


def test_a_board_has_the_stages_of_its_cells_under_its_own_axes(params: Params) -> None:
    boards.write(params, "mnist")
    written, main = content("boards/mnist/dvc.yaml"), content("dvc.yaml")
    assert written["vars"] == ["../../params.yaml", {"board": "mnist"}]
    assert set(written["stages"]) == {"resolve", "train", "sample", "evaluate", "leaderboard"}
    train = written["stages"]["train"]
    assert train["wdir"] == "../.."
    axes = ("dataset", "variant", "seed")
    assert train["matrix"] == {axis: f"${{boards.mnist.{axis}s}}" for axis in axes}
    for name, stage in written["stages"].items():
        assert {k: v for k, v in stage.items() if k not in ("wdir", "matrix")} == {
            k: v for k, v in main["stages"][name].items() if k != "matrix"
        }
    assert "boards.digits" not in Path("boards/mnist/dvc.yaml").read_text(encoding="utf-8")


def test_a_dataset_that_the_first_board_lacks_has_a_file_that_boards_share(params: Params) -> None:
    boards.write(params, "mnist")
    shared = content("boards/datasets/mnist/dvc.yaml")["stages"]
    assert list(shared) == ["resolve_data", "fetch", "extractor", "reference"]
    assert all(stage["matrix"] == {"dataset": ["mnist"]} for stage in shared.values())
    before = Path("boards/datasets/mnist/dvc.yaml").stat().st_mtime_ns
    boards.write(params, "mnist_cpu")
    assert Path("boards/datasets/mnist/dvc.yaml").stat().st_mtime_ns == before
    boards.write(params, "quick")
    assert not Path("boards/datasets/digits").exists(), "dvc.yaml has them"


def test_nothing_is_written_for_the_first_board(params: Params) -> None:
    before = Path("dvc.yaml").read_bytes()
    boards.write(params, params.default_board)
    assert not Path("boards").exists()
    assert Path("dvc.yaml").read_bytes() == before


def test_what_is_as_it_should_be_is_not_written_again(params: Params) -> None:
    """DVC would read a file again that is newer than what it remembers."""
    file = Path("boards/quick/dvc.yaml")
    boards.write(params, "quick")
    written, when = file.read_bytes(), file.stat().st_mtime_ns
    boards.write(params, "quick")
    assert file.stat().st_mtime_ns == when
    file.write_bytes(written + b"# by hand\n")
    boards.write(params, "quick")
    assert file.read_bytes() == written


@pytest.mark.parametrize("name", ["datasets", "audit"])
def test_a_board_cannot_take_a_folder_that_means_something_else(name: str) -> None:
    edited = content("params.yaml")
    edited["boards"][name] = edited["boards"]["quick"]
    Path("params.yaml").write_text(dump_yaml(edited), encoding="utf-8")
    with pytest.raises(ConfigError, match=f"a board cannot be called {name}: choose another name"):
        boards.write(load_params(), name)


def test_the_first_board_is_the_one_whose_stages_dvc_yaml_holds() -> None:
    edited = content("params.yaml")
    edited["boards"] = {"quick": edited["boards"].pop("quick"), **edited["boards"]}
    Path("params.yaml").write_text(dump_yaml(edited), encoding="utf-8")
    with pytest.raises(
        ConfigError,
        match=r"quick stands first in boards, but dvc\.yaml holds the stages of digits: move digits",
    ):
        boards.write(load_params(), "quick")


def test_dvc_knows_the_stages_by_the_names_that_they_are_called_by(params: Params) -> None:
    """Several boards beside each other, and the audit."""
    written = ("quick", "all", "mnist_cpu", "mnist", "cifar10")
    for board in written:
        boards.write(params, board)
    boards.write_audit(params)
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n", encoding="utf-8")
    listing = subprocess.run(
        [*runner.DVC, "stage", "list", "--all", "--name-only"],
        env=runner.environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert listing.returncode == 0, listing.stderr
    known = listing.stdout.split()
    assert len(set(known)) == len(known)
    expected: set[str] = set()
    for board in ("digits", *written):
        grid = params.board(board)
        chains = [dataset_chain(params, board, dataset) for dataset in grid.datasets]
        chains += [cell_chain(params, cell) for cell in params.cells(board)]
        chains += [board_chain(params, board, stage) for stage in ("resolve", "leaderboard")]
        expected |= {stage for chain in chains for stage in chain.stages}
        expected |= {boards.dataset_stages(params, board, dataset)[0] for dataset in grid.datasets}
    audit = {f"boards/audit/dvc.yaml:{stage}" for stage in ("resolve", "measure@digits", "report@digits")}
    assert set(known) == expected | audit
    assert "boards/mnist/dvc.yaml:train@mnist-vae-0" in expected
    assert Cell("digits", "digits", "vae", 0).stage("train") in expected


def test_further_seeds_of_a_variant_have_stages_of_their_own(params: Params) -> None:
    """Under another board's name, so that no output belongs to two stages."""
    file = boards.write_more(params, "mnist", "mnist", "gan", [3, 7])
    assert file == Path("boards/mnist.more/mnist/gan/dvc.yaml")
    written, main = content(str(file)), content("dvc.yaml")
    assert written["vars"] == ["../../../../params.yaml", {"board": "mnist.more"}]
    assert list(written["stages"]) == ["train", "sample", "evaluate"]
    for name, stage in written["stages"].items():
        assert stage["wdir"] == "../../../.."
        assert stage["matrix"] == {"dataset": ["mnist"], "variant": ["gan"], "seed": [3, 7]}
        assert stage["outs"] == main["stages"][name]["outs"]
        assert stage["cmd"] == main["stages"][name]["cmd"]
    with pytest.raises(ValueError, match="should match pattern"):
        Params.model_validate(params.model_dump() | {"boards": {"a.more": params.board("mnist")}})


def test_a_track_that_makes_its_own_data_takes_no_name_of_a_dataset(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boards, "_own_dataset_stages", lambda params, board: ["fetch"])
    with pytest.raises(ConfigError, match=r"quick\.datasets has digits, .* would write over data/digits"):
        boards.write(params, "quick")
    assert not boards.file_of(params, "quick").exists()
