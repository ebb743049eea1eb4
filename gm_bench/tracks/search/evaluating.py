"""The stage evaluate, from files to files: the best recipe and the one without a search, trained anew.

Both are trained with the same fresh seeds, which no trial had, and are measured on the test split: what the
search won on validation images by luck is lost again here.
"""

import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from gm_bench import io
from gm_bench.cell import DATA, EXTRACTORS, REFERENCE, Cell
from gm_bench.metrics.extractors.features import Extractor, extract
from gm_bench.metrics.extractors.loading import load_extractor
from gm_bench.nets.lenet import shape_of
from gm_bench.reproducibility import derive, describe, make_deterministic
from gm_bench.results.protocol import Protocol, build_protocol, same_protocol
from gm_bench.results.schema import COST, HISTORY, METRICS, METRICS_SCHEMA, OK
from gm_bench.tracks.generation.evaluation import Reference, all_metrics
from gm_bench.tracks.search.draws import DEFAULT
from gm_bench.tracks.search.searching import DIVERGED, TRIALS, recipe_of
from gm_bench.tracks.search.training import Json, Outcome, Training, depends_on, kept, key_of, train
from gm_bench.training.recipe import Recipe

DEFAULT_FID = "default_fid"
BEST, WITHOUT = "best", "default"  # the two recipes
NO_HISTORY = ["images", "round", "timestamp_ms"]  # columns of history.csv where no loss was ever logged


def evaluate(
    cell: Cell,
    needs: Mapping[str, Any],
    device: torch.device,
    say: Callable[[str], None] = lambda sentence: None,
) -> Json:
    """Write metrics.json, cost.json and history.csv of a cell.

    A value of a metric is that of one fresh training of the best recipe, the mean over its draws;
    `default_fid` is the FID of the recipe without a search. A cell is diverged where all trainings of either
    recipe were. Cost and history are those of the first training of the best recipe that was not.

    Args:
        needs: `protocol`, `n_repeats`, `n_images`, `n_validation`, `code`.
        say: is told of each training.

    Returns:
        What metrics.json says.

    Raises:
        ValueError: the reference is of another protocol, or a metric refuses the samples.
        FileError: a file of an earlier stage is missing or damaged.
    """
    make_deterministic()
    trials = io.read_json(cell.folder / TRIALS)
    config = Protocol.model_validate(needs["protocol"])
    measure, protocol = _measure(cell, config, device)
    training = Training(cell, needs["n_images"], needs["n_validation"], needs["code"])
    runs: dict[str, list[Json]] = {}
    for name, number in ((BEST, trials["best"]), (WITHOUT, DEFAULT)):
        if name == WITHOUT and trials["best"] == DEFAULT:
            runs[name] = runs[BEST]  # nothing was better
            continue
        recipe = recipe_of(trials["space"], trials["recipe"], number, trials["trials"][number]["values"])
        runs[name] = _runs(training, name, recipe, config, protocol, needs["n_repeats"], measure, device, say)
    content = _metrics(cell, trials, runs, protocol) | {"device": describe(device)}
    first = next((run for run in runs[BEST] if run["status"] == OK), runs[BEST][0])
    content["hashes"] = {"training_key": first["cost"]["training_key"]}
    io.write_json(cell.folder / METRICS, content)
    io.write_json(cell.folder / COST, first["cost"])
    columns = list(first["history"][0]) if first["history"] else NO_HISTORY
    io.write_csv(cell.folder / HISTORY, first["history"], columns)
    shutil.rmtree(cell.checkpoints / "fresh", ignore_errors=True)
    return content


def _measure(
    cell: Cell, config: Protocol, device: torch.device
) -> tuple[Callable[[Outcome], dict[str, float]], Json]:
    """What measures a training by the dataset's protocol, and that protocol as records carry it."""
    real, described = io.read_tensors(REFERENCE / cell.dataset / "features.safetensors")
    shape = shape_of(io.read_rows(DATA / cell.dataset / "train.safetensors", "images", 1))
    record, extractor = load_extractor(EXTRACTORS / cell.dataset, shape)
    protocol = build_protocol(
        cell.dataset, config, record, extractor.preprocessing, described["protocol"]["images_sha256"]
    )
    difference = same_protocol(protocol, described["protocol"])
    if difference:
        raise ValueError(
            f"reference/{cell.dataset} was made under another protocol ({difference}): run that stage again"
        )
    reference = Reference.from_tensors(real)

    def measure(outcome: Outcome) -> dict[str, float]:
        return _means(extractor, outcome, reference, config, device)

    return measure, protocol


def _means(
    extractor: Extractor, outcome: Outcome, reference: Reference, config: Protocol, device: torch.device
) -> dict[str, float]:
    """Every metric of a training, each the mean over its draws."""
    assert outcome.images is not None
    values: dict[str, list[float]] = {}
    for i, draw in enumerate(outcome.images):
        labels = None if outcome.labels is None else outcome.labels[i]
        seen = extract(extractor, draw, device)
        for name, value in all_metrics(seen, draw, reference, config, device, labels).items():
            values.setdefault(name, []).append(value)
    return {name: statistics.fmean(each) for name, each in values.items()}


def _runs(
    training: Training,
    name: str,
    recipe: Recipe,
    config: Protocol,
    protocol: Json,
    n_repeats: int,
    measure: Callable[[Outcome], dict[str, float]],
    device: torch.device,
    say: Callable[[str], None],
) -> list[Json]:
    """The fresh trainings of one recipe; those that a killed stage had finished are not run again."""
    folder, runs = training.cell.checkpoints / "fresh", []
    for i in range(n_repeats):
        seed = derive(training.cell.seed, "fresh training", i)
        key = key_of(depends_on(training, recipe, seed, device) | {"protocol": protocol})
        file = folder / f"{name}-{i}.json"
        run = kept(file, key)
        if run is None:
            outcome = train(
                training, recipe, seed, config.n_samples, config.draws, folder / f"{name}-{i}", device
            )
            run = {
                "key": key,
                "status": DIVERGED if outcome.images is None else OK,
                "divergence": outcome.divergence,
                "values": {} if outcome.images is None else measure(outcome),
                "cost": outcome.cost,
                "history": outcome.history,
            }
            io.write_json(file, run)
        runs.append(run)
        end = f"FID {run['values']['fid']:.4g}" if run["status"] == OK else DIVERGED
        say(f"{name} recipe, training {i + 1} of {n_repeats}: {end}")
    return runs


def _metrics(cell: Cell, trials: Json, runs: Mapping[str, Sequence[Json]], protocol: Json) -> Json:
    finished = {name: [run for run in each if run["status"] == OK] for name, each in runs.items()}
    failed = next((name for name in (BEST, WITHOUT) if not finished[name]), None)
    values: dict[str, list[float]] = {}
    if failed is None:
        names = finished[BEST][0]["values"]
        values = {metric: [run["values"][metric] for run in finished[BEST]] for metric in names}
        values[DEFAULT_FID] = [run["values"]["fid"] for run in finished[WITHOUT]]
    return {
        "schema": METRICS_SCHEMA,
        "cell": cell.as_dict(),
        "status": OK if failed is None else DIVERGED,
        "divergence": None if failed is None else runs[failed][0]["divergence"],
        "protocol": protocol,
        "values": values,
        "curves": {},
        "details": {
            "summary": _summary(trials, runs),
            "space": trials["space"],
            "recipe": trials["recipe"],
            "trials": [
                {key: trial[key] for key in ("number", "values", "status", "divergence", "fid")}
                for trial in trials["trials"]
            ],
        },
    }


def _summary(trials: Json, runs: Mapping[str, Sequence[Json]]) -> Json:
    """What a row of the leaderboard needs of the search."""
    chosen, default = (trials["trials"][number] for number in (trials["best"], DEFAULT))
    return {
        "n_trials": len(trials["trials"]),
        "seconds": round(sum(trial["seconds"] for trial in trials["trials"]), 1),
        "diverged": [trial["number"] for trial in trials["trials"] if trial["status"] != OK],
        "best": {key: chosen[key] for key in ("number", "values", "fid")},
        "default": {key: default[key] for key in ("number", "values", "fid")},
        "n_fresh": len(runs[BEST]),
        "n_fresh_diverged": {name: sum(run["status"] != OK for run in each) for name, each in runs.items()},
    }
