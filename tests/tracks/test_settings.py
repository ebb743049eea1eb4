"""A track says what of params.yaml is right: its settings and its boards. What is wrong is one sentence."""

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from refused import refused
from typer.testing import CliRunner

from gm_bench import cli
from gm_bench.config import ConfigError, Params, parse_params
from gm_bench.running import boards, driver, resolve, runner
from gm_bench.tracks.audit.settings import Audit
from gm_bench.tracks.audit.stages import audit_settings
from gm_bench.tracks.settings import check_board, check_boards, settings
from gm_bench.yaml_text import dump_yaml, load_yaml

RAW = load_yaml(Path("params.yaml").read_text(encoding="utf-8"))
OUTSIDE = {"track": "lab.ring", "datasets": ["ring"], "variants": ["hop"], "seeds": [0]}
STAGES = """
from gm_bench.checking import ConfigError
from pydantic import BaseModel

class SETTINGS(BaseModel):
    n_modes: int

def of_cell(params, board, dataset, variant):
    return {}

def check(params, board):
    raise ConfigError(f"{board} is never right")
"""

TABLES = "from gm_bench.tracks.mode_collapse.track import TRACK\n"


def changed(change: Callable[[dict[str, Any]], object]) -> Params:
    raw = copy.deepcopy(RAW)
    change(raw)
    return parse_params(dump_yaml(raw), {})


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Write the modules of stages and of tables of the track lab.ring, which lies outside of the package."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("lab", "lab.ring", "lab.ring.stages", "lab.ring.track"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    def write(stages: str, tables: str = TABLES) -> None:
        (tmp_path / "lab/ring").mkdir(parents=True)
        for name in ("__init__", "ring/__init__"):
            (tmp_path / f"lab/{name}.py").touch()
        (tmp_path / "lab/ring/stages.py").write_text(stages, encoding="utf-8")
        (tmp_path / "lab/ring/track.py").write_text(tables, encoding="utf-8")

    return write


def test_the_repositorys_own_settings_and_boards_are_right(params: Params) -> None:
    check_boards(params)
    audit = audit_settings(params)
    assert audit == settings(params, "audit", Audit)
    assert audit.noise_multiple == 3.0
    assert audit.sets["cifar10_jpeg"].kid_subsets == 20


WRONG_SETTINGS = {
    "unknown key": (
        lambda p: p["tracks"]["audit"].update(noise=3),
        "unknown key 'tracks.audit.noise'; allowed here: datasets, sets, noise_multiple, sizes, strengths",
    ),
    "unknown key of a set": (
        lambda p: p["tracks"]["audit"]["sets"]["mnist"].update(draws=3),
        "unknown key 'tracks.audit.sets.mnist.draws'; allowed here: n_samples, clean_draws, disturbed_draws",
    ),
    "more disturbed draws than clean ones": (
        lambda p: p["tracks"]["audit"]["sets"]["mnist"].update(clean_draws=3, disturbed_draws=4),
        "'tracks.audit.sets.mnist' is {'n_samples': 1000, 'clean_draws': 3, 'disturbed_draws': 4}: "
        "disturbed_draws should be at most clean_draws, since clean images are disturbed",
    ),
    "wrong value": (
        lambda p: p["tracks"]["audit"].update(noise_multiple=-1),
        "'tracks.audit.noise_multiple' is -1: input should be greater than 0",
    ),
    "missing key": (
        lambda p: p["tracks"]["audit"].pop("sizes"),
        "key 'tracks.audit.sizes' is missing",
    ),
    "unknown track": (
        lambda p: p["tracks"].update(audti={}),
        "unknown key 'tracks.audti'; allowed here: audit",
    ),
    "a track without settings": (
        lambda p: p["tracks"].update(generation={}),
        "unknown key 'tracks.generation'; allowed here: audit",
    ),
}


@pytest.mark.parametrize("case", WRONG_SETTINGS)
def test_wrong_settings_are_one_sentence_on_every_board(case: str) -> None:
    change, sentence = WRONG_SETTINGS[case]
    with refused(sentence):
        check_board(changed(change), "quick")


def test_a_dataset_of_the_audit_has_a_set() -> None:
    with pytest.raises(ConfigError, match=r"tracks\.audit\.sets has no entry 'kmnist'; known: digits, mnist"):
        audit_settings(changed(lambda p: p["tracks"]["audit"].update(datasets=["kmnist"])))
    without = changed(lambda p: p.pop("tracks"))
    check_board(without, "quick")
    with pytest.raises(ConfigError, match=r"key 'tracks\.audit\.datasets' is missing \(and 4 more\)"):
        audit_settings(without)


WRONG_BOARDS = {
    "dataset": (
        lambda p: p["boards"]["quick"].update(datasets=["minst"]),
        "datasets has no entry 'minst'; known: digits, mnist, fashion_mnist",
    ),
    "variant": (
        lambda p: p["boards"]["quick"].update(variants=["vqgan"]),
        "variants has no entry 'vqgan'; known: kde, pca",
    ),
    "variant, without a recipe": (
        lambda p: p["boards"].update(quick={"datasets": ["digits"], "variants": ["vqgan"], "seeds": [0]}),
        "variants has no entry 'vqgan'; known: kde, pca",
    ),
    "recipe": (
        lambda p: p["boards"]["quick"].update(recipe="huge"),
        "variants.vae has no entry 'huge'; known: tiny, grey",
    ),
    "track": (
        lambda p: p["boards"]["quick"].update(track="generaton"),
        "boards.quick.track: there is no track 'generaton': no module gm_bench.tracks.generaton.stages",
    ),
}


@pytest.mark.parametrize("case", WRONG_BOARDS)
def test_wrong_names_on_a_board_are_one_sentence_wherever_it_is_used(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, sentence = WRONG_BOARDS[case]
    params = changed(change)
    monkeypatch.chdir(tmp_path)
    text = dump_yaml(params.model_dump(exclude_none=True))
    Path("params.yaml").write_text(text, encoding="utf-8")
    uses: list[Callable[[], object]] = [
        lambda: driver.run("quick", 1, None, datasets=None, variants=None, seeds=None),
        lambda: driver.show_inventory("digits"),
        lambda: driver.show_cell(["quick"], None),
        lambda: driver.show_cell(["digits/vae/0"], "quick"),
        lambda: runner.prepare(params, "quick", {}),
        lambda: resolve.board(params, "quick"),
    ]
    for use in uses:
        with refused(sentence):
            use()
    assert list(Path().iterdir()) == [Path("params.yaml")], "nothing was begun"
    check_board(params, "mnist")


def test_a_dataset_is_not_resolved_for_a_board_that_cannot_be_run() -> None:
    params = changed(lambda p: p["boards"]["quick"].update(variants=["vqgan"]))
    with pytest.raises(ConfigError, match="variants has no entry 'vqgan'"):
        resolve.dataset(params, "digits")
    with pytest.raises(ConfigError, match="datasets has no entry 'minst'"):
        resolve.dataset(params, "minst")


def test_a_user_sees_the_sentence_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    raw = copy.deepcopy(RAW)
    raw["tracks"]["audit"]["sizes"] = "many"
    Path("params.yaml").write_text(dump_yaml(raw), encoding="utf-8")
    for words in (["list"], ["show", "digits"], ["run"]):
        told = CliRunner().invoke(cli.app, words)
        assert told.exit_code == 1
        assert "'tracks.audit.sizes' is 'many': input should be a valid list" in told.output


def test_a_track_from_outside_is_asked_for_its_own_boards_only(lab: Callable[[str], None]) -> None:
    params = changed(lambda p: p["boards"].update(rings=OUTSIDE))
    check_boards(params)
    with pytest.raises(ConfigError, match=r"boards\.rings\.track: there is no track 'lab\.ring': no module"):
        check_board(params, "rings")
    lab(STAGES)
    with pytest.raises(ConfigError, match="rings is never right"):
        check_board(params, "rings")


def test_a_track_from_outside_needs_no_check_and_may_have_settings(lab: Callable[[str], None]) -> None:
    lab(STAGES[: STAGES.index("def check")])
    check_board(changed(lambda p: p["boards"].update(rings=OUTSIDE)), "rings")

    def of(value: object) -> Params:
        return changed(lambda p: (p["boards"].update(rings=OUTSIDE), p["tracks"].update({"lab.ring": value})))

    check_board(of({"n_modes": 8}), "rings")
    with pytest.raises(ConfigError, match=r"'tracks\.lab\.ring\.n_modes' is 'many': input should be"):
        check_board(of({"n_modes": "many"}), "rings")
    check_board(of({"n_modes": "many"}), "quick")


def test_a_track_from_outside_without_settings_takes_none(lab: Callable[[str], None]) -> None:
    lab(STAGES[: STAGES.index("def check")].replace("SETTINGS", "Other"))
    params = changed(lambda p: (p["boards"].update(rings=OUTSIDE), p["tracks"].update({"lab.ring": {}})))
    with pytest.raises(ConfigError, match=r"key 'tracks\.lab\.ring': lab\.ring\.stages declares no SETTINGS"):
        check_board(params, "rings")


@pytest.mark.parametrize(
    ("stages", "tables", "sentence"),
    [
        ("def x(:\n", TABLES, r"lab/ring/stages\.py, line 1: invalid syntax"),
        ("", "def x(:\n", r"lab/ring/track\.py, line 1: invalid syntax"),
        ("", "", r"there is no track 'lab\.ring': lab\.ring\.track declares no TRACK"),
        (
            "",
            "from gm_bench.metrics.catalogue import MAIN, Catalogue, Metric\n"
            'Catalogue([Metric("fit", "Fit", "", "", MAIN, None, False, "How well.")], order_by="fit")\n',
            r"boards\.rings\.track: .*fit",
        ),
        (
            "",
            TABLES,
            r"boards\.rings\.track: lab\.ring\.stages has no function 'of_cell'",
        ),
    ],
)
def test_what_is_wrong_with_a_track_from_outside_is_said_first(
    lab: Callable[..., None], stages: str, tables: str, sentence: str
) -> None:
    lab(stages, tables)
    with pytest.raises(ConfigError, match=sentence):
        check_board(changed(lambda p: p["boards"].update(rings=OUTSIDE)), "rings")


def test_the_stages_of_the_audit_are_written_for_its_datasets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = changed(lambda p: p["tracks"]["audit"].update(datasets=["mnist"]))
    for name in ("dvc.yaml", "pipelines/audit/stages.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(Path(name).read_bytes())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"'tracks\.audit\.datasets' is 'mnist'"):
        boards.write_audit(changed(lambda p: p["tracks"]["audit"].update(datasets="mnist")))
    assert not Path("boards").exists()
    written = load_yaml(boards.write_audit(params).read_text(encoding="utf-8"))
    assert written["stages"]["measure"]["matrix"] == {"dataset": "${tracks.audit.datasets}"}
    assert Path("boards/datasets/mnist/dvc.yaml").exists()
