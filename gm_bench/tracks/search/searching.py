"""The stage search, from files to files: the trials of a cell, judged on validation images.

The test split is not read, nor anything that was made of it: the validation images are training images that
are held back from training.
"""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from gm_bench import io
from gm_bench.cell import DATA, EXTRACTORS, Cell
from gm_bench.data.dataset import read_split
from gm_bench.data.split import hold_out
from gm_bench.metrics.extractors.features import Extractor, extract
from gm_bench.metrics.extractors.loading import load_extractor
from gm_bench.metrics.frechet import Moments, fid, moments
from gm_bench.nets.lenet import shape_of
from gm_bench.reproducibility import derive, make_deterministic
from gm_bench.results.schema import OK
from gm_bench.tracks.search.draws import DEFAULT, drawn
from gm_bench.tracks.search.space import with_values
from gm_bench.tracks.search.training import Json, Training, depends_on, kept, key_of, train
from gm_bench.training.recipe import Recipe

TRIALS = "trials.json"
SCHEMA = 1
DIVERGED = "diverged"


def search(
    cell: Cell,
    needs: Mapping[str, Any],
    device: torch.device,
    say: Callable[[str], None] = lambda sentence: None,
) -> Json:
    """Write trials.json of a cell: every trial with what it was and what came of it, and the best of them.

    A trial that was finished before is not run again: not after the stage was killed, and not where more
    trials are asked for than there are in trials.json.

    Args:
        needs: `recipe`, `space`, `n_trials`, `n_images`, `n_validation`, `n_samples`, `code`.
        say: is told of each trial.

    Returns:
        What trials.json says.

    Raises:
        ValueError: a recipe does not fit the variant, or every trial diverged.
        FileError: a file of an earlier stage is missing or damaged.
    """
    make_deterministic()
    run = Trials(cell, needs, device)
    trials = []
    for number in range(needs["n_trials"]):
        trials.append(run.trial(number))
        say(f"trial {number + 1} of {needs['n_trials']}: {in_words(trials[-1])}")
    content = {
        "schema": SCHEMA,
        "cell": cell.as_dict(),
        "space": needs["space"],
        "recipe": needs["recipe"],
        "best": best(trials, str(cell)),
        "trials": trials,
    }
    io.write_json(cell.folder / TRIALS, content)
    shutil.rmtree(run.folder, ignore_errors=True)
    return content


def run_trial(
    cell: Cell,
    needs: Mapping[str, Any],
    number: int,
    device: torch.device,
    say: Callable[[str], None] = lambda sentence: None,
) -> None:
    """Run one trial of a cell, unless it was run before, and keep it for `search`, which ends the same then.

    Trials may run in any order and side by side. Arguments and errors are those of `search`.
    """
    make_deterministic()
    trial = Trials(cell, needs, device).trial(number)
    say(f"trial {number + 1} of {needs['n_trials']}: {in_words(trial)}")


class Trials:
    """The trials of a cell, each of which depends on its number and on no other."""

    def __init__(self, cell: Cell, needs: Mapping[str, Any], device: torch.device) -> None:
        self.cell, self.needs, self.device = cell, needs, device
        self.training = Training(cell, needs["n_images"], needs["n_validation"], needs["code"])
        self.known, self.extractor, self.seen_by = _validation(cell, needs["n_validation"], device)
        self.folder = cell.checkpoints / "trials"
        self.before = _before(cell.folder / TRIALS)

    def trial(self, number: int) -> Json:
        """What came of a trial, which is run if it was not before."""
        needs = self.needs
        values = drawn(needs["space"], needs["recipe"], self.cell.seed, number)
        recipe = recipe_of(needs["space"], needs["recipe"], number, values)
        seed = derive(self.cell.seed, "training of a trial", number)
        of = depends_on(self.training, recipe, seed, self.device)
        key = key_of(of | self.seen_by | {"n_samples": needs["n_samples"]})
        file = self.folder / f"{number}.json"
        found = self.before.get(key) or kept(file, key)
        if found is not None:  # the same recipe, for whose values the space may have had other names
            return found | {"number": number, "values": values}
        folder = self.folder / str(number)
        outcome = train(self.training, recipe, seed, needs["n_samples"], 1, folder, self.device)
        value = None
        if outcome.images is not None:
            value = _fid(self.extractor, outcome.images[0], self.known, self.device)
        trial = {
            "number": number,
            "key": key,
            "values": values,
            "status": OK if value is not None else DIVERGED,
            "divergence": outcome.divergence,
            "fid": value,
            "seconds": outcome.cost["seconds"],
        }
        io.write_json(file, trial)
        return trial


def recipe_of(
    space: Mapping[str, Any], recipe: Mapping[str, Any], number: int, values: Mapping[str, Any]
) -> Recipe:
    """The recipe of a trial: the one that stands without a search, with the values of the trial.

    Trial 0 is that recipe itself, in which the players may have rates that no trial gives them.
    """
    return Recipe.model_validate(recipe if number == DEFAULT else with_values(space, recipe, values))


def best(trials: list[Json], name: str) -> int:
    """The number of the trial with the least FID; the first of them where several have it.

    Raises:
        ValueError: every trial diverged.
    """
    finished = [trial for trial in trials if trial["status"] == OK]
    if not finished:
        raise ValueError(
            f"all {len(trials)} trials of {name} diverged: narrow tracks.search.space or mend its recipe"
        )
    return int(min(finished, key=lambda trial: trial["fid"])["number"])


def in_words(trial: Mapping[str, Any]) -> str:
    """What a trial was and what came of it, in a line."""
    said = ", ".join(f"{name} {shown(value)}" for name, value in trial["values"].items())
    end = DIVERGED if trial["fid"] is None else f"FID {trial['fid']:.4g}"
    return f"{said}: {end}"


def shown(value: Any) -> str:
    """A hyper-parameter's value as people read it."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _validation(
    cell: Cell, n_validation: int, device: torch.device
) -> tuple[Moments, Extractor, dict[str, str]]:
    """What the extractor sees in the validation images, the extractor, and hashes of what both come from."""
    source = DATA / cell.dataset / "train.safetensors"
    images, labels = read_split(DATA / cell.dataset, "train")
    _, held_back = hold_out(labels, n_validation)
    record, extractor = load_extractor(EXTRACTORS / cell.dataset, shape_of(images))
    features = extract(extractor, images[held_back], device).features
    return moments(features), extractor, {"data": io.sha256_file(source), "extractor": record["sha256"]}


def _fid(extractor: Extractor, images: torch.Tensor, known: Moments, device: torch.device) -> float:
    return fid(extract(extractor, images, device).features, known)


def _before(file: Path) -> dict[str, Json]:
    """The trials of an earlier search of the cell, by key; none where there was none, or of another form."""
    try:
        return {trial["key"]: trial for trial in io.read_json(file)["trials"]} if file.exists() else {}
    except (io.FileError, KeyError, TypeError):
        return {}
