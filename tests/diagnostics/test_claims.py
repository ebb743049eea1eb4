"""Claims: the verdict's rule, the experiments against closed forms, and the way from a cell to its pages."""

import copy
import importlib
import json
import math
import re
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pytest
from refused import refused_on_board

from gm_bench.cell import Cell
from gm_bench.config import Params, load_params
from gm_bench.options import check_keywords
from gm_bench.tracks.diagnostics import measuring
from gm_bench.tracks.diagnostics.claim import Panel, about, at_least, at_most, find, names, run
from gm_bench.tracks.diagnostics.pages import counted, measured
from gm_bench.tracks.diagnostics.pictures import of_claim as of_claim_pictures
from gm_bench.tracks.diagnostics.stages import budget, of_cell
from gm_bench.tracks.diagnostics.verdict import FAILS, HOLDS, OPEN, judge, mean_interval, of_claim
from gm_bench.tracks.diagnostics.words import explained, found, in_short
from gm_bench.yaml_text import load_yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs/claims.md"
RAW = load_yaml((ROOT / "params.yaml").read_text(encoding="utf-8"))
PARAMS = load_params(ROOT / "params.yaml")
NEAR_ONE = about("a", "a", 1.0, 0.1, "")


def test_the_interval_is_students_t() -> None:
    low, high = mean_interval([1.0, 2.0, 3.0])
    # t(0.975, 2 degrees) = 4.3027, standard error 1/√3.
    assert (low, high) == pytest.approx((2 - 4.302653 / math.sqrt(3), 2 + 4.302653 / math.sqrt(3)), abs=1e-5)
    assert mean_interval([1.0]) is None


@pytest.mark.parametrize(
    ("expected", "values", "verdict"),
    [
        (NEAR_ONE, [1.0, 1.01, 0.99], HOLDS),
        (NEAR_ONE, [1.3, 1.31, 1.29], FAILS),
        (NEAR_ONE, [0.7, 0.71, 0.69], FAILS),
        (NEAR_ONE, [1.09, 1.1, 1.08], OPEN),  # the mean lies within, its interval reaches beyond
        (NEAR_ONE, [1.0], OPEN),
        (NEAR_ONE, [1.0, 1.0], HOLDS),  # no spread: nothing depends on the seed
        (at_most("b", "b", 0.1, "", step=1 / 6), [1 / 6, 1 / 6, 1 / 6], OPEN),  # of six runs each
        (at_most("b", "b", 0.0, "", step=1 / 6), [5 / 6 - 4 / 6] * 2 + [1 / 6], OPEN),  # 1 ulp above a sixth
        (at_most("b", "b", 0.0, "", step=1 / 6), [0.0, 0.0, 0.0], OPEN),
        (at_most("b", "b", 0.0, "", step=1 / 6), [1 / 3, 1 / 3, 1 / 3], FAILS),
        (at_most("b", "b", 0.1, "", step=1 / 6), [-1 / 6, -1 / 6, -1 / 6], HOLDS),
        (at_most("b", "b", 0.1, ""), [-5.0, -5.1, -4.9], HOLDS),
        (at_most("b", "b", 0.1, ""), [0.2, 0.21, 0.19], FAILS),
        (at_least("c", "c", 0.1, ""), [9.0, 9.1, 8.9], HOLDS),
        (at_least("c", "c", 0.1, ""), [0.0, 0.01, -0.01], FAILS),
    ],
)
def test_a_verdict_is_by_the_whole_interval(expected, values, verdict) -> None:
    assert judge(expected, values).verdict == verdict


def test_one_quantity_that_fails_fails_the_claim() -> None:
    holds, fails, is_open = (judge(NEAR_ONE, v) for v in ([1.0, 1.0], [2.0, 2.0], [1.0]))
    assert of_claim([holds, holds]) == HOLDS
    assert of_claim([holds, is_open]) == OPEN
    assert of_claim([is_open, fails, holds]) == FAILS


def test_what_was_measured_says_how_many_seeds_lie_within() -> None:
    # ±1 with a mean near 0: no seed has the mean, and two of five lie where the claim expects them
    split = judge(NEAR_ONE, [1.05, 1.05, -0.95, -0.95, -0.95])
    assert split.n_within == 2
    assert measured(split) == "−0.1 ± 1.1 (−1.5 to 1.2), 2 of 5 seeds within"
    assert measured(judge(NEAR_ONE, [0.5, 0.5])) == "0.5 with every seed"
    assert measured(judge(NEAR_ONE, [0.5])) == "0.5"
    coarse = at_most("b", "b", 0.0, "", step=0.25)
    assert measured(judge(coarse, [0.5, 0.5])) == "0.5 with every seed (0.25 to 0.75)"
    rounded = at_most("b", "b", 0.0, "", step=1 / 6)
    assert measured(judge(rounded, [1 / 6, 5 / 6 - 4 / 6])) == "0.1667 with every seed (0 to 0.3333)"
    fails, holds = judge(NEAR_ONE, [2.0, 2.0]), judge(NEAR_ONE, [1.0, 1.0])
    assert counted([holds, split, holds, fails]) == ["2 hold", "1 does not", "1 cannot be told"]


def test_a_picture_has_the_line_of_each_seed_and_no_mean() -> None:
    def seed(number: int, *points: tuple[float, float]) -> SimpleNamespace:
        curves = {"critic": points, "exact": [(0.0, 1.0), (1.0, 1.0)]}
        return SimpleNamespace(seed=number, details={"curves": curves})

    panel = Panel("Slopes", "x", "slope", ("critic",), ("exact",))
    claim = SimpleNamespace(panels=(panel,))
    seeds = [seed(0, (0.0, 0.5), (1.0, 1.0)), seed(3, (0.0, 0.5), (1.0, -1.0))]
    (chart,) = of_claim_pictures("split", claim, seeds)
    assert chart.table.splitlines() == [
        "curve,seed,x,y",
        "critic,0,0.0,0.5",
        "critic,0,1.0,1.0",
        "critic,3,0.0,0.5",
        "critic,3,1.0,-1.0",
        *(f"exact,{s},{x},1.0" for s in (0, 3) for x in (0.0, 1.0)),
    ]
    assert chart.alt == "slope against x: critic from 0.5 at 0 to -1 … 1 at 1; exact from 1 at 0 to 1 at 1."


@pytest.mark.parametrize("name", names())
def test_every_claim_says_what_it_needs_to(name: str) -> None:
    claim = find(name)
    module = importlib.import_module(f"gm_bench.tracks.diagnostics.claims.{name}")
    assert "Source:" in module.__doc__
    assert claim.sentence.endswith(".")
    assert any(character.isdigit() for character in claim.source), "a year"
    for expected in claim.expected:
        assert expected.low < expected.high
        assert expected.why
    assert claim.panels
    for board, grid in PARAMS.boards.items():
        if grid.track == "diagnostics" and name in grid.variants:
            said = budget(PARAMS, board, name)
            check_keywords(claim.budget, said, board, given=())
            assert set(said) == {field.name for field in fields(claim.budget)}


def test_what_is_no_claim_or_no_budget_is_named() -> None:
    with pytest.raises(ValueError, match=r"unknown claim 'gans_are_nice'; .*optimal_discriminator"):
        find("gans_are_nice")
    with pytest.raises(
        ValueError,
        match=r"unknown key 'n_steps' in the entry tracks\.diagnostics\.claims\.optimal_discriminator",
    ):
        run("optimal_discriminator", 0, {"n_steps": 3})
    with pytest.raises(ValueError, match=r"n_updates is 1\.5; allowed: a whole number"):
        run("optimal_discriminator", 0, {"n_updates": 1.5, "batch_size": 8, "lr": 0.1, "width": 4})


def test_the_committed_report_says_what_the_files_say_was_found() -> None:
    for board in ("claims", "claims_long", "likelihood"):
        content = json.loads((ROOT / f"reports/{board}/leaderboard.json").read_text(encoding="utf-8"))
        markdown = (ROOT / f"reports/{board}/leaderboard.md").read_text(encoding="utf-8")
        lacking = {cell.split("/")[1] for cell in content.get("missing", ())}
        rows = {row["variant"]: (row["found"], row["in_short"]) for row in content["rows"]}
        assert rows.keys() | lacking == set(PARAMS.board(board).variants)
        for variant, said in rows.items():
            assert said == (found(variant, board), in_short(variant, board)), variant
            assert said[1], f"{variant} has an answer in short"
            for text in (*said, *explained(variant)):
                assert text in markdown.replace(r"\|", "|").replace(r"\*", "*"), variant


def test_what_was_found_is_said_of_its_board() -> None:
    assert found("steadiness", "claims").startswith("with five seeds no loss depends")
    assert found("steadiness", "claims_long").startswith("with three seeds one run of six of WGAN fails")
    assert found("steadiness", "mine").startswith("on claims, with five seeds no loss depends")
    assert in_short("steadiness", "claims_long").startswith("With ten times the rounds WGAN alone")
    assert in_short("steadiness", "mine").startswith("On claims, by one recipe for all")
    assert in_short("vae_without_kl", "claims").startswith("σ goes to 0 as stated")


def test_what_explains_a_claim_is_neither_its_source_nor_what_was_found() -> None:
    equation, how = explained("optimal_discriminator")
    assert equation.startswith("    D*(x) = p(x) / (p(x) + q(x))")
    assert how.startswith("p and q are Gaussians of unequal width")


WRONG = {
    "unknown claim": (
        lambda p: p["boards"]["claims"].update(variants=["gans_are_nice"]),
        "boards.claims.variants: there is no claim 'gans_are_nice' in gm_bench/tracks/diagnostics/claims/; "
        "known: ",
    ),
    "a claim without a budget": (
        lambda p: p["tracks"]["diagnostics"]["claims"].pop("saturation"),
        "tracks.diagnostics.claims has no entry 'saturation'; known: optimal_discriminator",
    ),
    "unknown recipe": (
        lambda p: p["boards"]["claims"].update(recipe="weeks"),
        "tracks.diagnostics.claims.optimal_discriminator has no entry 'weeks'; known: minutes",
    ),
    "no recipe": (
        lambda p: p["boards"]["claims"].pop("recipe"),
        "key 'boards.claims.recipe' is missing",
    ),
    "a number that is none": (
        lambda p: p["tracks"]["diagnostics"]["claims"]["saturation"]["minutes"].update(lr="1e-3"),
        "'tracks.diagnostics.claims.saturation.minutes.lr' is '1e-3': input should be a number",
    ),
    "a number of updates below 0": (
        lambda p: p["tracks"]["diagnostics"]["claims"]["saturation"]["minutes"].update(n_updates=-5),
        "'tracks.diagnostics.claims.saturation.minutes.n_updates' is -5: input should be a number above 0",
    ),
    "a name that is none": (
        lambda p: p["tracks"]["diagnostics"]["claims"]["vae_without_kl"]["minutes"].update(network="../x"),
        "'tracks.diagnostics.claims.vae_without_kl.minutes.network' is '../x': ",
    ),
    "a report elsewhere": (
        lambda p: p["tracks"]["diagnostics"]["claims"]["metrics_see"]["minutes"].update(report="/etc/passwd"),
        "'tracks.diagnostics.claims.metrics_see.minutes.report' is '/etc/passwd': input should be a path",
    ),
    "unknown key": (
        lambda p: p["tracks"]["diagnostics"].update(budgets={}),
        "unknown key 'tracks.diagnostics.budgets'; allowed here: claims",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_run_is_one_sentence(case: str) -> None:
    change, sentence = WRONG[case]
    refused_on_board(RAW, change, "claims", sentence)


def test_layers_of_a_budget_are_composed() -> None:
    raw = copy.deepcopy(RAW)
    raw["tracks"]["diagnostics"]["claims"]["elbo_and_bounds"] = {
        "all": {"n_points": 7, "n_codes": 8},
        "minutes": {"n_codes": 9},
    }
    params = Params.model_validate(raw)
    assert budget(params, "claims", "elbo_and_bounds") == {"n_points": 7, "n_codes": 9}


def test_an_outcome_must_have_what_the_claim_expects(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from gm_bench.tracks.diagnostics import claim as contract
    from gm_bench.tracks.diagnostics.claims import optimal_discriminator

    budget = {"n_updates": 1, "batch_size": 8, "lr": 0.1, "width": 4}

    def gives(y: float = 1.0, **values: float) -> None:
        outcome = contract.Outcome(values, {"exact": [(0.0, 1.0), (1.0, y)]})
        broken = replace(optimal_discriminator.CLAIM, experiment=lambda s, b: outcome)
        monkeypatch.setattr(optimal_discriminator, "CLAIM", broken)

    gives(optimal_d_error=0.0)
    with pytest.raises(ValueError, match="expects values of optimal_d_error, optimal_d_value_ratio, but"):
        run("optimal_discriminator", 0, budget)
    gives(optimal_d_error=0.0, optimal_d_value_ratio=math.nan)
    with pytest.raises(ValueError, match="gave optimal_d_value_ratio = nan: it broke down"):
        run("optimal_discriminator", 0, budget)
    gives(y=math.inf, optimal_d_error=0.0, optimal_d_value_ratio=1.0)
    with pytest.raises(ValueError, match="optimal_discriminator broke down: 'exact' is not finite"):
        run("optimal_discriminator", 0, budget)


@pytest.mark.parametrize(
    ("claim", "changes", "sentence"),
    [
        ("ascent_from_noise", {"n_steps": 1}, "ascent_from_noise has n_steps 1: it must be 2 at least"),
        ("elbo_and_bounds", {"n_codes": 100}, "elbo_and_bounds has n_codes 100: it must be 200 at least"),
        ("parallel_lines", {"n_updates": 2}, "parallel_lines has n_updates 2: it must be 4 at least"),
        ("noise_and_replay", {"n_rounds": 4}, "noise_and_replay has n_rounds 4: it must be a multiple of 5"),
        ("vae_without_kl", {"n_updates": 19}, "vae_without_kl has n_updates 19: it must be a multiple of 20"),
        ("inversion", {"n_images": 1}, "inversion has n_images 1: it must be 2 at least"),
        ("better_discriminator", {"early": 3, "middle": 2}, "early 3, middle 2 and late 3000: each must be"),
        (
            "little_data",
            {"n_more": 997},
            "n_more 997: they must grow, and be less than the 997",
        ),
    ],
)
def test_budgets_that_an_experiment_cannot_work_with(
    claim: str, changes: dict[str, int], sentence: str
) -> None:
    whole = budget(PARAMS, "claims", claim)
    with pytest.raises(ValueError, match=sentence):
        run(claim, 0, whole | changes)


def test_from_cells_to_pages_and_mlflow(
    tmp_path: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    from gm_bench.tracking.store import Store
    from gm_bench.tracks.publishing import publish
    from gm_bench.tracks.track import find as find_track

    monkeypatch.chdir(tmp_path)
    budget = {"n_updates": 2, "batch_size": 8, "lr": 0.01, "width": 4}
    cells = [Cell("claims", "theory", "optimal_discriminator", seed) for seed in (0, 1)]
    measuring.write_group("theory")
    outcomes = [measuring.measure(cell, budget, "code") for cell in cells]
    assert outcomes[0].values != outcomes[1].values
    assert measuring.measure(cells[0], budget, "code").values == outcomes[0].values

    track = find_track("diagnostics")
    shutil.copy(migrated, "mlflow.db")
    store = Store(f"sqlite:///{tmp_path}/mlflow.db")
    assert publish(track, cells, track.origin, store, {}).n_written == 4
    assert publish(track, cells, track.origin, store, {}).n_written == 0
    told = json.loads(Path("reports/claims/leaderboard.json").read_text())
    row = told["rows"][0]
    errors = [outcome.values["optimal_d_error"] for outcome in outcomes]
    assert row["metrics"]["optimal_d_error"]["values"] == errors
    assert row["verdict"] == FAILS, "an untrained discriminator is not optimal"
    assert row["findings"][0]["expected"] == "at most 0.02"
    markdown = Path("reports/claims/leaderboard.md").read_text()
    assert "The optimal discriminator is p/(p + q)" in markdown
    assert "![The discriminator](figures/optimal_discriminator-1.svg)" in markdown
    assert "gm-bench run --board claims --variants optimal_discriminator" in markdown
    assert Path("reports/claims/figures/optimal_discriminator-1.svg").exists()
    page = Path("reports/claims/leaderboard.html").read_text()
    summary, claim = page.split('<section class="claim" id="optimal_discriminator"')
    assert 'href="#optimal_discriminator">The optimal discriminator is p/(p + q)' in summary
    assert re.findall(r'href="(?!#)', page) == [], "it leads to no file that may be missing"
    assert "does not hold</strong>, from 2 seeds. Goodfellow et al. 2014" in claim
    assert "Budget: n_updates" in claim
    assert "<svg" in claim


def test_what_a_budget_names_makes_a_claim_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its loader and its network are code that it runs, the content of a report is what it reads."""
    named = of_cell(PARAMS, "claims", "theory", "vae_without_kl")["run"]
    assert {"gm_bench.data.loaders.digits", "gm_bench.nets.mlp"} <= set(named.modules)
    monkeypatch.chdir(tmp_path)
    report = Path(budget(PARAMS, "claims", "metrics_see")["report"])

    def sha256() -> object:
        return of_cell(PARAMS, "claims", "theory", "metrics_see")["run"].settings["report_sha256"]

    assert sha256() is None
    report.parent.mkdir(parents=True)
    report.write_text("{}")
    assert sha256() == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_the_lessons_have_the_verdicts_of_the_committed_report() -> None:
    content = json.loads((ROOT / "reports/claims/leaderboard.json").read_text(encoding="utf-8"))
    verdicts = {row["variant"]: row["verdict"] for row in content["rows"]}
    lines = re.findall(r"^\| .* \| `(\w+)` \| .* \| ([\w ]+) \|$", DOCS.read_text(), re.MULTILINE)
    assert dict(lines) == verdicts
    assert len(lines) == len(verdicts)
