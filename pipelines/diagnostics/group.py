"""Stage group: the card of a group of claims, and its empty floor."""

from gm_bench.running.stage import Dataset, run
from gm_bench.tracks.diagnostics.measuring import write_group


def main(group: Dataset) -> None:
    """Write data/GROUP/card.json and reference/GROUP/floor.json."""
    write_group(group)


if __name__ == "__main__":
    run(main)
