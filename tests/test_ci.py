"""What CI relies on exists and fits together, without running it."""

import importlib.util
import math
import re
from pathlib import Path
from types import ModuleType

import ci
import pytest

from gm_bench.config import load_params
from gm_bench.results.comparing import Comparison, Verdict
from gm_bench.tracks.diagnostics import gate
from gm_bench.yaml_text import load_yaml

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def script(name: str) -> ModuleType:
    """tests/faults/NAME.py, which is a script and no package's module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"tests/faults/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def planted_damage() -> ModuleType:
    return script("planted_damage")


def test_the_grid_of_ci_is_one_that_params_allow(tmp_path: Path) -> None:
    params = load_params()
    (tmp_path / "params.yaml").write_text(
        (ROOT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8"
    )
    ci.tiny.change(tmp_path, lambda content: content["boards"]["digits"].update(ci.GRID))
    ci.tiny.change(tmp_path, ci.reduce)
    reduced = load_params(tmp_path / "params.yaml")
    assert len(reduced.cells("digits")) == len(ci.GRID["variants"]) * len(ci.GRID["seeds"])
    assert reduced.board("digits").n_images == ci.N_IMAGES
    assert reduced.dataset("digits").protocol.draws == ci.PROTOCOL["draws"]
    decays = {o.decay for o in reduced.recipe("wgan_gp", "tiny").optimisers.values()}
    assert decays == {"linear"}  # else half the decay could not be seen
    assert reduced.dataset("mnist") == params.dataset("mnist")


@pytest.mark.parametrize("damage", planted_damage().DAMAGES, ids=lambda damage: damage.name)
def test_planted_damage_finds_the_code_that_it_breaks(damage: object, tmp_path: Path) -> None:
    """Each edit applies to the code as it is, and what comes out is still Python."""
    file = damage.file  # type: ignore[attr-defined]
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text((ROOT / file).read_text(encoding="utf-8"), encoding="utf-8")
    planted_damage().plant(damage, tmp_path)
    broken = (tmp_path / file).read_text(encoding="utf-8")
    assert broken != (ROOT / file).read_text(encoding="utf-8")
    compile(broken, file, "exec")
    with pytest.raises(ValueError, match="not once: adapt the damage"):
        planted_damage().plant(damage, tmp_path)


def test_damage_of_claims_finds_the_code_that_it_breaks(tmp_path: Path) -> None:
    planted = script("planted_in_claims")
    claims = load_params().board("claims").variants
    for i, (claim, damage) in enumerate(planted.DAMAGES):
        assert claim in claims
        file = tmp_path / str(i) / damage.file
        file.parent.mkdir(parents=True)
        file.write_text((ROOT / damage.file).read_text(encoding="utf-8"), encoding="utf-8")
        planted.plant(damage, tmp_path / str(i))
        compile(file.read_text(encoding="utf-8"), damage.file, "exec")
    assert {claim for claim, _ in planted.DAMAGES} >= set(gate.WATCHED)
    for name, test in planted.SEEN_BY.items():
        assert name in {damage.name for _, damage in planted.DAMAGES}
        assert (ROOT / test).is_file()


def test_evidence_is_what_got_worse() -> None:
    compared = [
        Comparison("digits", "vae", "fid", 1.0, 2.0, math.log(2), 0.1, 0.3, seeds=(12, 8)),
        Comparison("digits", "vae", "recall", 0.4, 0.5, -0.1, 0.01, 0.03, seeds=(12, 8)),
        Comparison("digits", "wgan_gp", "recall", 0.4, 0.41, -0.01, 0.01, 0.03, seeds=(12, 4)),
        Comparison("digits", "all variants", "recall", 0.5, 0.4, 0.1, 0.01, 0.03, seeds=(24, 12)),
    ]
    said = planted_damage().evidence(Verdict(compared, ["digits/wgan_gp is missing."]))
    assert said == ("digits/wgan_gp is missing.; vae FID ↓ +100.0 % (8 seeds); all variants Recall ↑ −0.100")


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_workflows_call_what_there_is(file: Path) -> None:
    content = load_yaml(file.read_text(encoding="utf-8"))
    assert content["permissions"] == {"contents": "read"}
    steps = [step for job in content["jobs"].values() for step in job["steps"]]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for words in [step["run"].split() for step in steps if "run" in step]:
        if words[0] == "make":
            assert set(words[1:]) <= targets
        for word in words:
            if word.endswith(".py"):
                assert (ROOT / word).is_file()
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"]) for step in steps if "uses" in step)


def test_there_is_a_workflow_for_pushes_pull_requests_and_the_calendar() -> None:
    # YAML 1.1 reads the key `on` as true.
    events = [set(load_yaml(file.read_text(encoding="utf-8"))[True]) for file in WORKFLOWS]
    assert {"push", "pull_request", "schedule"} <= set().union(*events)
