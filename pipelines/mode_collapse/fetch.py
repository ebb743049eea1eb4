"""Stage fetch: points of a mixture → data/MIXTURE, and the floor of fresh ones → reference/MIXTURE."""

from gm_bench.cell import resolved_of_dataset
from gm_bench.running import resolve as resolved
from gm_bench.running.stage import Dataset, run
from gm_bench.tracks.mode_collapse.measuring import fetch
from gm_bench.tracks.mode_collapse.settings import MixtureSettings


def main(mixture: Dataset) -> None:
    """Draw the training points of a mixture."""
    needs = resolved.read(resolved_of_dataset(mixture, "fetch"))
    fetch(mixture, MixtureSettings.model_validate(needs["mixture"]), needs["n_samples"])


if __name__ == "__main__":
    run(main)
