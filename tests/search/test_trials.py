"""Trials of a search: what they are drawn from, what they read, that none is run twice, what is measured."""

import itertools
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from gm_bench import io
from gm_bench.cell import Cell
from gm_bench.config import Params, load_params
from gm_bench.reproducibility import derive
from gm_bench.tracks.search import evaluating, searching, training
from gm_bench.tracks.search.analysis import expected_minima, rank_correlation
from gm_bench.tracks.search.draws import drawn
from gm_bench.tracks.search.evaluating import evaluate
from gm_bench.tracks.search.searching import best, in_words, recipe_of, run_trial, search
from gm_bench.tracks.search.space import difference, searched, values_of, with_values
from gm_bench.tracks.search.stages import of_cell
from gm_bench.training.recipe import Recipe

CPU = torch.device("cpu")
BOARD = "search"
SPACES = {
    "vae": ["lr", "beta1"],
    "gan": ["lr", "beta1", "critic_updates", "critic_norm"],
    "ns_gan": ["lr", "beta1", "critic_updates", "critic_norm"],
    "lsgan": ["lr", "beta1", "critic_updates", "critic_norm"],
    "wgan": ["lr", "critic_updates", "critic_norm", "clip"],  # RMSprop has no β₁
    "wgan_gp": ["lr", "beta1", "critic_updates", "penalty"],
    "sngan": ["lr", "beta1", "critic_updates"],
    "dragan": ["lr", "beta1", "critic_updates", "critic_norm", "penalty"],
}
RANGES = {"lr": (1e-5, 1e-2), "beta1": (0.0, 1.0), "clip": (1e-3, 1.0), "penalty": (0.1, 100.0)}
CHOICES = {"critic_updates": (1, 5), "critic_norm": ("batch", "none")}


def needs_of(params: Params, variant: str, **changes: Any) -> dict[str, Any]:
    """What the stage search of a variant is told, at a budget of ten rounds."""
    settings = of_cell(params, BOARD, "digits", variant)["search"].settings
    return dict(settings) | {"n_images": 640, "n_trials": 3, "n_samples": 200, "code": "c"} | changes


@pytest.fixture
def digits(digits_with_reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of its own whose digits have a reference."""
    shutil.copytree(digits_with_reference, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def untimed(content: dict[str, Any]) -> dict[str, Any]:
    """trials.json without what a clock said."""
    trials = [{key: value for key, value in t.items() if key != "seconds"} for t in content["trials"]]
    return content | {"trials": trials}


@pytest.mark.parametrize(
    "values", [[3.0], [5.0, 1.0], [4.0, 4.0, 9.0, 1.0, 7.5], [2.0, 8.0, 2.0, 3.0, 11.0, 0.5]]
)
def test_the_best_of_k_is_that_of_all_subsets(values: list[float]) -> None:
    found = expected_minima(values)
    assert len(found) == len(values)
    for k, expected in enumerate(found, 1):
        minima = [min(subset) for subset in itertools.combinations(values, k)]
        assert expected == pytest.approx(sum(minima) / len(minima), rel=1e-12)


def test_rank_correlation_is_spearmans_with_the_permutations_p() -> None:
    x, y = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2.0, 1.0, 30.0, 4.0, 5.0, 600.0]
    rho, p = rank_correlation(x, y, 0)
    assert rho == pytest.approx(1 - 6 * (1 + 1 + 4 + 1 + 1) / (6 * 35))  # no ties: 1 − 6 Σ d² / n (n² − 1)
    ranks = [2, 1, 5, 3, 4, 6]
    found = sum(a * b for a, b in zip(x, ranks, strict=True)) - 6 * 3.5**2
    strong = [
        abs(sum(a * b for a, b in zip(x, each, strict=True)) - 6 * 3.5**2) >= abs(found) - 1e-9
        for each in itertools.permutations(ranks)
    ]
    assert p == pytest.approx(sum(strong) / math.factorial(6), abs=0.01)  # 3 sd of 9,999 draws at p = 0.1
    assert rank_correlation(x, [-each for each in y], 0) == pytest.approx((-rho, p), abs=0.01)
    assert rank_correlation([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], 0) is None
    tied, _ = rank_correlation([0.0, 0.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0], 0)
    assert tied == pytest.approx(2 / math.sqrt(5))


@pytest.mark.parametrize("variant", SPACES)
def test_trials_lie_in_their_ranges_and_are_equal_in_two_runs(variant: str, params: Params) -> None:
    needs = needs_of(params, variant)
    space, recipe = needs["space"], needs["recipe"]
    assert list(space) == SPACES[variant]
    trials = [drawn(space, recipe, 0, number) for number in range(40)]
    assert trials == [drawn(space, recipe, 0, number) for number in reversed(range(40))][::-1]
    assert trials[1:] != [drawn(space, recipe, 1, number) for number in range(1, 40)], "another seed"
    for values in trials:
        assert list(values) == SPACES[variant]
        for name, value in values.items():
            if name in CHOICES:
                assert value in CHOICES[name]
            else:
                low, high = RANGES[name]
                assert low <= value <= high
    for name in CHOICES.keys() & space.keys():
        assert {values[name] for values in trials} == set(CHOICES[name])
    rates = sorted(values["lr"] for values in trials[1:])
    assert rates[0] < 1e-4, "uniform in the logarithm: a third of the rates lies below 1e-4"
    assert sum(rate < 1e-3 for rate in rates) > len(rates) / 2
    assert rates[-1] > 1e-3


@pytest.mark.parametrize("variant", SPACES)
def test_trial_0_is_the_recipe_as_it_stands(variant: str, params: Params) -> None:
    needs = needs_of(params, variant)
    values = drawn(needs["space"], needs["recipe"], 0, 0)
    assert recipe_of(needs["space"], needs["recipe"], 0, values) == params.recipe(variant, "tiny")
    first = next(iter(needs["recipe"]["updates"]))
    assert values["lr"] == params.recipe(variant, "tiny").optimisers[first].lr


def test_trial_0_keeps_rates_that_differ_between_players(params: Params) -> None:
    recipe = params.recipe("gan", "grey_cpu").model_dump(mode="json")
    space = needs_of(params, "gan")["space"]
    values = drawn(space, recipe, 0, 0)
    assert recipe_of(space, recipe, 0, values).optimisers["generator"].lr == 1e-3
    assert recipe_of(space, recipe, 0, values).optimisers["critic"].lr == 2.5e-4
    later = recipe_of(space, recipe, 1, drawn(space, recipe, 0, 1))
    assert later.optimisers["critic"].lr == later.optimisers["generator"].lr


def test_values_go_to_their_places_and_come_back(params: Params) -> None:
    needs = needs_of(params, "wgan_gp")
    values = {"lr": 0.003, "beta1": 0.25, "critic_updates": 1, "penalty": 0.5}
    changed = with_values(needs["space"], needs["recipe"], values)
    assert values_of(needs["space"], changed) == values
    for player in ("critic", "generator"):
        assert changed["optimisers"][player]["lr"] == 0.003
        assert changed["optimisers"][player]["betas"] == [0.25, 0.9]
    assert changed["updates"] == {"critic": 1, "generator": 1}
    assert changed["model"]["penalty"] == 0.5
    assert needs["recipe"]["updates"]["critic"] == 5, "the recipe itself is left alone"
    layer = difference(needs["recipe"], changed)
    assert layer["updates"] == {"critic": 1}
    assert layer["model"] == {"penalty": 0.5}
    assert set(layer) == {"updates", "model", "optimisers"}
    assert difference(changed, changed) == {}


def test_a_key_that_one_player_lacks_is_not_searched(params: Params) -> None:
    recipe = params.recipe("ns_gan", "tiny").model_dump(mode="json")
    recipe["optimisers"]["critic"] = {"name": "rmsprop", "lr": 1e-3, "alpha": 0.9, "decay": "none"}
    hyperparameter = {"low": 0.0, "high": 1.0, "log": False, "choices": None, "variants": None}
    space = {"beta1": hyperparameter | {"key": "optimisers.*.betas.0"}}
    assert searched(space, recipe, "ns_gan") == {}


def test_a_search_reads_nothing_of_the_test_split(digits: Path, params: Params) -> None:
    (digits / "data/digits/test.safetensors").unlink()
    shutil.rmtree(digits / "reference")
    cell = Cell(BOARD, "digits", "ns_gan", 0)
    told: list[str] = []
    content = search(cell, needs_of(params, "ns_gan"), CPU, told.append)
    assert io.read_json(cell.folder / "trials.json") == content
    assert [trial["number"] for trial in content["trials"]] == [0, 1, 2]
    fids = [trial["fid"] for trial in content["trials"]]
    assert content["best"] == fids.index(min(fids))
    assert len(set(fids)) == 3
    assert told[0].startswith("trial 1 of 3: lr 0.0002, beta1 0.5, critic_updates 1, critic_norm batch: FID ")
    assert not list(digits.glob(".checkpoints/**/*.json")), "what was kept of single trials is gone"


def test_a_trial_is_judged_by_the_validation_images(digits: Path, params: Params) -> None:
    """FID of samples of the trained model against the images that training never sees, by hand."""
    from gm_bench.data.dataset import read_split
    from gm_bench.data.split import hold_out
    from gm_bench.metrics.extractors.features import extract
    from gm_bench.metrics.extractors.loading import load_extractor
    from gm_bench.metrics.frechet import fid
    from gm_bench.tracks.generation.drawing import draw_sets
    from gm_bench.training import sampling
    from gm_bench.training.fit import fit
    from gm_bench.training.job import Job

    needs, cell = needs_of(params, "ns_gan", n_trials=2), Cell(BOARD, "digits", "ns_gan", 4)
    trial = search(cell, needs, CPU)["trials"][1]
    seed = derive(4, "training of a trial", 1)
    recipe = recipe_of(needs["space"], needs["recipe"], 1, trial["values"])
    job = Job(Cell(BOARD, "digits", "ns_gan", seed), recipe, 640, n_validation=190)
    fit(job, Path("data/digits"), Path("out"), Path("kept"), device=CPU, save_every=100)
    weights, metadata = io.read_tensors(Path("out/model.safetensors"))
    model = sampling.load(weights, metadata, CPU)
    samples = draw_sets(model, metadata["class_counts"], 200, 1, seed, CPU)["images"][0]
    images, labels = read_split(Path("data/digits"), "train")
    _, extractor = load_extractor(Path("extractors/digits"), (1, 8, 8))
    known = extract(extractor, images[hold_out(labels, 190)[1]], CPU).features
    assert len(known) == 190
    assert trial["fid"] == pytest.approx(fid(extract(extractor, samples, CPU).features, known), rel=1e-6)


class Killed(BaseException):
    """As Ctrl-C and SIGKILL: no handler of errors catches it."""


@pytest.mark.parametrize("when", ["between two trials", "in the middle of one"])
def test_a_killed_search_goes_on_and_ends_equal(
    when: str, digits: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = needs_of(params, "wgan")
    unbroken = search(Cell("unbroken", "digits", "wgan", 0), needs, CPU)
    cell = Cell(BOARD, "digits", "wgan", 0)
    real, begun = training.fit, []

    def broken(job: Any, *arguments: Any, **options: Any) -> Any:
        begun.append(job.seed)
        if len(begun) == 3:
            if when == "in the middle of one":
                options |= {"save_every": 0.0, "on_progress": lambda progress: _kill(progress.images > 300)}
                return real(job, *arguments, **options)
            raise Killed
        return real(job, *arguments, **options)

    monkeypatch.setattr(training, "fit", broken)
    with pytest.raises(Killed):
        search(cell, needs, CPU)
    assert not (cell.folder / "trials.json").exists()
    began_again = []

    def whole(job: Any, data: Path, out: Path, checkpoints: Path, **options: Any) -> Any:
        began_again.append((job.seed, checkpoints.exists()))
        return real(job, data, out, checkpoints, **options)

    monkeypatch.setattr(training, "fit", whole)
    content = search(cell, needs, CPU)
    assert began_again == [(begun[2], when == "in the middle of one")], "only the trial that was killed"
    assert untimed(content) | {"cell": None} == untimed(unbroken) | {"cell": None}


def _kill(now: bool) -> None:
    if now:
        raise Killed


def test_trials_run_one_by_one_in_any_order_give_the_same_search(
    digits: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = needs_of(params, "ns_gan", n_trials=3)
    alone = search(Cell("alone", "digits", "ns_gan", 0), needs, CPU)
    cell, told = Cell(BOARD, "digits", "ns_gan", 0), []
    for number in (2, 0):
        run_trial(cell, needs, number, CPU, told.append)
    kept = sorted(path.name for path in (cell.checkpoints / "trials").iterdir())
    assert kept == ["0.json", "2.json"]
    assert told[0].startswith("trial 3 of 3: ")
    real, seeds = training.fit, []
    monkeypatch.setattr(training, "fit", lambda job, *a, **o: (seeds.append(job.seed), real(job, *a, **o))[1])
    together = search(cell, needs, CPU)
    assert seeds == [derive(0, "training of a trial", 1)], "only the trial that was not run before"
    assert untimed(together) | {"cell": None} == untimed(alone) | {"cell": None}
    assert not (cell.checkpoints / "trials").exists()
    run_trial(cell, needs, 1, CPU)
    assert len(seeds) == 1, "it stands in trials.json"


def test_more_trials_run_only_those_that_are_new(
    digits: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = Cell(BOARD, "digits", "vae", 0)
    first = search(cell, needs_of(params, "vae", n_trials=2), CPU)
    real, seeds = training.fit, []
    monkeypatch.setattr(training, "fit", lambda job, *a, **o: (seeds.append(job.seed), real(job, *a, **o))[1])
    more = search(cell, needs_of(params, "vae", n_trials=4), CPU)
    assert more["trials"][:2] == first["trials"]
    assert len(seeds) == 2
    fewer = search(cell, needs_of(params, "vae", n_trials=3), CPU)
    assert fewer["trials"] == more["trials"][:3]
    assert len(seeds) == 2
    search(cell, needs_of(params, "vae", n_trials=2, code="other"), CPU)
    assert len(seeds) == 4, "other code, other trials"


@pytest.mark.parametrize("kept_in", ["trials.json", "files of single trials"])
def test_a_trial_of_before_says_its_values_by_the_names_of_the_space_that_is_searched(
    kept_in: str, digits: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs, cell = needs_of(params, "ns_gan", n_trials=2), Cell(BOARD, "digits", "ns_gan", 0)
    space = needs["space"]
    if kept_in == "trials.json":
        search(cell, needs | {"space": {"beta1": space["beta1"]}}, CPU)
    else:
        for number in range(2):
            run_trial(cell, needs | {"space": {"beta1": space["beta1"]}}, number, CPU)
    real, seeds = training.fit, []
    monkeypatch.setattr(training, "fit", lambda job, *a, **o: (seeds.append(job.seed), real(job, *a, **o))[1])
    more = search(cell, needs, CPU)
    assert seeds == [derive(0, "training of a trial", 1)], "trial 0 is the same recipe in every space"
    assert [list(trial["values"]) for trial in more["trials"]] == [list(space), list(space)]
    assert more["trials"][0]["values"] == {
        "lr": 2e-4, "beta1": 0.5, "critic_updates": 1, "critic_norm": "batch"
    }  # fmt: skip
    renamed = {"rate" if name == "lr" else name: each for name, each in space.items()}
    after = search(cell, needs | {"space": renamed}, CPU)
    for number, trial in enumerate(after["trials"]):
        old = more["trials"][number]["values"]
        assert trial["values"] == {"rate": old["lr"]} | {k: v for k, v in old.items() if k != "lr"}
        recipe_of(renamed, after["recipe"], number, trial["values"])
    assert len(seeds) == 1, "another name is no other trial"


def test_a_diverged_trial_is_kept_as_one(digits: Path, params: Params) -> None:
    """The first trial drawn gets a rate that no training survives."""
    needs = needs_of(params, "lsgan", n_trials=2)
    space = {"lr": needs["space"]["lr"] | {"low": 1e25, "high": 1e26}}
    cell = Cell(BOARD, "digits", "lsgan", 0)
    content = search(cell, needs | {"space": space}, CPU)
    assert [trial["status"] for trial in content["trials"]] == ["ok", "diverged"]
    assert content["trials"][1]["fid"] is None
    assert content["trials"][1]["divergence"]["step"] >= 1
    assert content["best"] == 0
    assert in_words(content["trials"][1]).endswith(": diverged")
    with pytest.raises(ValueError, match="all 1 trials of digits/lsgan/0 diverged: narrow"):
        best(content["trials"][1:], str(cell))


def test_samples_that_are_not_finite_are_a_divergence(
    digits: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overflow(*arguments: Any) -> Any:
        raise ValueError("the model drew images that are not finite")

    monkeypatch.setattr(training, "draw_sets", overflow)
    with pytest.raises(ValueError, match="all 2 trials"):
        search(Cell(BOARD, "digits", "vae", 0), needs_of(params, "vae", n_trials=2), CPU)


def test_both_recipes_are_trained_with_fresh_seeds_and_measured_on_test(
    digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params, cell = load_params(), Cell(BOARD, "digits", "ns_gan", 0)
    trials = search(cell, needs_of(params, "ns_gan", n_images=6400), CPU)
    number = trials["best"]
    assert number != 0, "the fixture can tell the two recipes apart"
    settings = of_cell(params, BOARD, "digits", "ns_gan")["evaluate"].settings
    needs = dict(settings) | {"n_images": 1280, "n_repeats": 1, "code": "c"}
    real, jobs = training.fit, []
    monkeypatch.setattr(training, "fit", lambda job, *a, **o: (jobs.append(job), real(job, *a, **o))[1])
    content = evaluate(cell, needs, CPU)
    chosen = recipe_of(trials["space"], trials["recipe"], number, trials["trials"][number]["values"])
    default = Recipe.model_validate(trials["recipe"])
    assert [job.recipe for job in jobs] == [chosen, default]
    floor = io.read_json(Path("reference/digits/floor.json"))
    assert set(content["values"]) == set(floor["values"]) | {"default_fid"}
    assert content["protocol"] == floor["protocol"]
    assert content["values"]["fid"] != content["values"]["default_fid"]
    assert content["status"] == "ok"
    assert json.loads((cell.folder / "metrics.json").read_text()) == content
    cost = io.read_json(cell.folder / "cost.json")
    assert cost["training_key"] == content["hashes"]["training_key"]
    assert cost["recipe"] == chosen.model_dump(mode="json")
    summary = content["details"]["summary"]
    assert summary["best"]["number"] == number
    assert summary["default"]["fid"] == trials["trials"][0]["fid"]
    assert summary["n_fresh_diverged"] == {"best": 0, "default": 0}
    assert not (cell.checkpoints / "fresh").exists()


def test_the_fresh_seeds_are_the_same_for_both_recipes(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params, cell = load_params(), Cell(BOARD, "digits", "vae", 0)
    trials = search(cell, needs_of(params, "vae", n_trials=2), CPU)
    real, jobs = training.fit, []
    monkeypatch.setattr(training, "fit", lambda job, *a, **o: (jobs.append(job), real(job, *a, **o))[1])
    mean = lambda seen, images, *rest: {"fid": float(images.double().mean())}  # noqa: E731
    monkeypatch.setattr(evaluating, "all_metrics", mean)
    settings = of_cell(params, BOARD, "digits", "vae")["evaluate"].settings
    needs = dict(settings) | {"n_images": 640, "n_repeats": 2, "code": "c"}
    io.write_json(cell.folder / "trials.json", trials | {"best": 1})
    content = evaluate(cell, needs, CPU)
    seeds = [job.seed for job in jobs]
    assert seeds[:2] == seeds[2:]
    assert len(set(seeds)) == 2
    assert len(content["values"]["fid"]) == len(content["values"]["default_fid"]) == 2
    assert set(content["values"]["fid"]).isdisjoint(content["values"]["default_fid"])
    io.write_json(cell.folder / "trials.json", trials | {"best": 0})  # nothing is better: one recipe
    jobs.clear()
    content = evaluate(cell, needs, CPU)
    assert [job.seed for job in jobs] == seeds[:2]
    assert content["values"]["default_fid"] == content["values"]["fid"]


def test_where_a_recipe_diverged_anew_its_cell_did(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = load_params()
    cell = Cell(BOARD, "digits", "vae", 0)
    trials = search(cell, needs_of(params, "vae", n_trials=2), CPU)
    io.write_json(cell.folder / "trials.json", trials | {"best": 1})
    real = evaluating.train

    def diverging(training: Any, recipe: Recipe, seed: int, *rest: Any) -> Any:
        outcome = real(training, recipe, seed, *rest)
        where = {"step": 3, "player": "model", "term": "loss", "value": "nan"}
        is_default = recipe == Recipe.model_validate(trials["recipe"])
        return outcome if is_default else type(outcome)(None, None, where, outcome.cost, outcome.history)

    monkeypatch.setattr(evaluating, "train", diverging)
    monkeypatch.setattr(evaluating, "all_metrics", lambda *arguments: {"fid": 1.0})
    settings = of_cell(params, BOARD, "digits", "vae")["evaluate"].settings
    content = evaluate(cell, dict(settings) | {"n_images": 640, "n_repeats": 1, "code": "c"}, CPU)
    assert content["status"] == "diverged"
    assert content["values"] == {}
    assert content["divergence"]["step"] == 3
    assert content["details"]["summary"]["n_fresh_diverged"] == {"best": 1, "default": 0}
    assert searching.shown(0.00012345) == "0.000123"
