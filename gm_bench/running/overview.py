"""What `gm-bench run` and `gm-bench list` show: all cells at once."""

import sys
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType

from rich.live import Live
from rich.table import Table

from gm_bench.cell import Cell
from gm_bench.config import NotFetchedError, Params
from gm_bench.running.chains import Chain
from gm_bench.running.runner import LINES_OF_A_FAILURE, progress_of
from gm_bench.running.stage import screen

DERIVED = "derived"
FINISHED = ("done", "failed", "stopped")
LINES_OF_DVC = ("Running stage", "> ", "Stage ", "Updating lock", "Use `dvc")  # of no stage
SECONDS_BETWEEN_WORDS = 30.0  # of what runs, where there is no terminal to show a table on


class RunDisplay:
    """The chains of one layer while they run: a live table on a terminal, else a line now and then."""

    def __init__(self, title: str, chains: Sequence[Chain]) -> None:
        self.title = title
        self.chains = chains
        self.began = time.monotonic()
        self.console = screen(stderr=True)
        self.live = Live(
            get_renderable=self._table, console=self.console, refresh_per_second=2, transient=True
        )
        self.on_terminal = sys.stderr.isatty()
        self.reported: set[str] = set()
        self.said: dict[str, tuple[float, str]] = {}  # chain → when something was last said of it, and what
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
            if not self.on_terminal:
                self._report_running()

    def _report_finished(self) -> None:
        for chain in self.chains:
            if chain.state in FINISHED and chain.name not in self.reported:
                self.reported.add(chain.name)
                count = f"[{len(self.reported)}/{len(self.chains)}]"
                self.say(f"{count} {chain.name}: {chain.state} in {chain.seconds:.0f} s")
                if chain.state == "failed":
                    self.say("\n".join(f"    {line}" for line in chain.output[-LINES_OF_A_FAILURE:]))

    def _report_running(self) -> None:
        """Where each chain is, every half minute if that is news."""
        for chain in self.chains:
            if chain.state in (*FINISHED, "waiting"):
                continue
            when, before = self.said.setdefault(chain.name, (time.monotonic(), ""))
            if time.monotonic() - when < SECONDS_BETWEEN_WORDS:
                continue
            now = f"{chain.name}: {chain.state} {_in_words(chain)}".rstrip()
            if now != before:
                self.said[chain.name] = (time.monotonic(), now)
                self.say(now)

    def say(self, text: str) -> None:
        self.console.print(text, soft_wrap=True)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for column in (self.title, "on", "stage", "progress", "images/s", "left"):
            table.add_column(column, justify="left" if column in (self.title, "on", "stage") else "right")
        for chain in self.chains:
            if chain.state in (*FINISHED, "waiting"):
                continue
            how_far = _counted(chain) or (_last_line(chain), "", "")
            table.add_row(chain.name, chain.place, chain.state, *how_far)
        done = sum(chain.state in FINISHED for chain in self.chains)
        table.caption = f"{done} of {len(self.chains)} finished · {time.monotonic() - self.began:.0f} s"
        return table


def _last_line(chain: Chain) -> str:
    """What a chain's stage printed last, but for whose it is; empty where that was DVC."""
    line = chain.output[-1] if chain.output else ""
    return "" if line.startswith(LINES_OF_DVC) else line.removeprefix(f"{chain.cell or chain.name}: ")


def _counted(chain: Chain) -> tuple[str, str, str] | None:
    """Share, images a second and seconds left, as a cell's training counts them; None where nothing does."""
    progress = progress_of(chain) if chain.state == "train" else None
    if progress is None:
        return None
    share, speed = progress["images"] / progress["n_images"], progress["images_per_second"]
    return f"{share:.0%}", f"{speed:,.0f}", f"{progress['seconds_left']:.0f} s"


def _in_words(chain: Chain) -> str:
    counted = _counted(chain)
    return "{}, {} images/s, {} left".format(*counted) if counted else _last_line(chain)


def _protocol(params: Params, dataset: str) -> tuple[str, str]:
    """Extractor, and N × draws, as far as they are known."""
    try:
        protocol = params.dataset(dataset).protocol
    except NotFetchedError:
        return "after fetch", "after fetch"
    return protocol.extractor, f"{protocol.n_samples:,} × {protocol.draws}"


def print_inventory(params: Params, board: str, descriptions: Mapping[str, tuple[str, str]]) -> None:
    """Print all boards, datasets, and variants with family and source, and which are on one board."""
    console = screen()
    grid = params.board(board)
    columns = ("board", "track", "datasets", "variants", "seeds", "recipe", "budget (images)")
    boards = Table(*columns, box=None)
    for name, entry in params.boards.items():
        boards.add_row(
            f"{name} ←" if name == board else name,
            entry.track,
            ", ".join(entry.datasets),
            str(len(entry.variants)),
            str(len(entry.seeds)),
            entry.recipe or DERIVED,
            f"{entry.n_images:,}" if entry.n_images else DERIVED,
        )
    datasets = Table("dataset", "on the board", "loader", "extractor", "N × draws", box=None)
    for name, dataset in params.datasets.items():
        datasets.add_row(
            name,
            "yes" if name in grid.datasets else "",
            dataset.source.loader,
            *_protocol(params, name),
        )
    variants = Table("variant", "on the board", "family", "source", box=None)
    for name in params.variants:
        variants.add_row(name, "yes" if name in grid.variants else "", *descriptions[name])
    for table in (boards, datasets, variants):
        console.print(table)
        console.print()


def print_cells(params: Params, board: str, states: Mapping[Cell, str]) -> None:
    """Print the state of each cell of a board."""
    grid = params.board(board)
    cells = Table("cell", *(f"seed {seed}" for seed in grid.seeds), box=None)
    for dataset in grid.datasets:
        for variant in grid.variants:
            row = [states[Cell(board, dataset, variant, seed)] for seed in grid.seeds]
            cells.add_row(f"{dataset} {variant}", *row)
    screen().print(cells)
