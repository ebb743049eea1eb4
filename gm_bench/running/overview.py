"""What `gm-bench run` and `gm-bench list` show: all cells at once."""

import sys
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from gm_bench.config import Params
from gm_bench.running.runner import Chain, progress_of

LINES_OF_A_FAILURE = 15
FINISHED = ("done", "failed", "stopped")


class RunDisplay:
    """The chains of one layer while they run: a live table on a terminal, else a line per finished chain."""

    def __init__(self, title: str, chains: Sequence[Chain]) -> None:
        self.title = title
        self.chains = chains
        self.began = time.monotonic()
        self.console = Console(stderr=True)
        self.live = Live(
            get_renderable=self._table, console=self.console, refresh_per_second=2, transient=True
        )
        self.on_terminal = sys.stderr.isatty()
        self.reported: set[str] = set()
        self.over = threading.Event()
        self.watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "RunDisplay":
        self.say(f"{self.title}: {len(self.chains)} to bring up to date")
        if self.on_terminal:
            self.live.start()
        self.watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        self.watcher.join()
        if self.on_terminal:
            self.live.stop()
        self._report_finished()

    def _watch(self) -> None:
        while not self.over.wait(0.5):
            self._report_finished()

    def _report_finished(self) -> None:
        for chain in self.chains:
            if chain.state in FINISHED and chain.name not in self.reported:
                self.reported.add(chain.name)
                count = f"[{len(self.reported)}/{len(self.chains)}]"
                self.say(f"{count} {chain.name}: {chain.state} in {chain.seconds:.0f} s")
                if chain.state == "failed":
                    self.say("\n".join(f"    {line}" for line in chain.output[-LINES_OF_A_FAILURE:]))

    def say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for column in (self.title, "stage", "progress", "images/s", "left"):
            table.add_column(column, justify="left" if column in (self.title, "stage") else "right")
        for chain in self.chains:
            if chain.state in (*FINISHED, "waiting"):
                continue
            progress = progress_of(chain) if chain.state == "train" else None
            if progress is None:
                table.add_row(chain.name, chain.state, "", "", "")
                continue
            table.add_row(
                chain.name,
                chain.state,
                f"{progress['images'] / progress['n_images']:.0%}",
                f"{progress['images_per_second']:,.0f}",
                f"{progress['seconds_left']:.0f} s",
            )
        done = sum(chain.state in FINISHED for chain in self.chains)
        table.caption = f"{done} of {len(self.chains)} finished · {time.monotonic() - self.began:.0f} s"
        return table


def print_inventory(
    params: Params, descriptions: Mapping[str, tuple[str, str]], states: Mapping[tuple[str, str, int], str]
) -> None:
    """Print datasets, variants with family, source and recipes, and the state of each cell of the grid."""
    console = Console()
    columns = ("dataset", "in grid", "loader", "recipe", "budget (images)", "extractor", "N × draws")
    datasets = Table(*columns, box=None)
    for name, entry in params.datasets.items():
        datasets.add_row(
            name,
            "yes" if name in params.grid.datasets else "",
            entry.source.loader,
            entry.training.recipe,
            f"{entry.training.n_images:,}",
            entry.protocol.extractor,
            f"{entry.protocol.n_samples:,} × {entry.protocol.draws}",
        )
    variants = Table("variant", "in grid", "family", "source", "recipes", box=None)
    for name, recipes in params.variants.items():
        in_grid = "yes" if name in params.grid.variants else ""
        variants.add_row(name, in_grid, *descriptions[name], ", ".join(recipes))
    cells = Table("cell", *(f"seed {seed}" for seed in params.grid.seeds), box=None)
    for dataset in params.grid.datasets:
        for variant in params.grid.variants:
            row = [states[dataset, variant, seed] for seed in params.grid.seeds]
            cells.add_row(f"{dataset} {variant}", *row)
    for table in (datasets, variants, cells):
        console.print(table)
        console.print()
