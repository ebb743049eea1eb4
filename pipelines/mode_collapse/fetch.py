"""Stage fetch: points of a mixture, or stacked digits → data/DATASET, the floor of fresh ones → reference."""

from gm_bench.cell import resolved_of_dataset
from gm_bench.running import resolve as resolved
from gm_bench.running.stage import Dataset, run
from gm_bench.tracks.mode_collapse.measuring import fetch
from gm_bench.tracks.mode_collapse.settings import MixtureSettings
from gm_bench.tracks.mode_collapse.stacked import measuring as of_stacks
from gm_bench.tracks.mode_collapse.stacked.settings import Stacks


def main(dataset: Dataset) -> None:
    """Draw the training points of a mixture, or the training stacks of digits."""
    needs = resolved.read(resolved_of_dataset(dataset, "fetch"))
    if "stacks" in needs:
        of_stacks.fetch(dataset, Stacks.model_validate(needs["stacks"]), needs["source"])
    else:
        fetch(dataset, MixtureSettings.model_validate(needs["mixture"]), needs["n_samples"])


if __name__ == "__main__":
    run(main)
