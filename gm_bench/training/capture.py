"""Updates of players as CUDA graphs: one launch in place of hundreds, for networks too small to fill a GPU.

What is captured is the whole update: draws, forward, gradient (with a penalty's second one), optimiser, clip.
Rows of the training set are copied in before each replay. Draws come from the device's own generator, which
torch registers with every graph: seeded before a replay as before an update, they are the same. So captured
training is eager training but for the rate, which lies on the device as a float32; the test marked gpu holds
the two together at rates that a float32 holds, and eager stays the reference.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from gm_bench.training.state import State
from gm_bench.variants.base.contract import Batch

WARM_UP_ROUNDS = (
    3  # as torch asks for: lazy set-up, workspaces and moments of the optimiser are there after them
)

Update = Callable[[str, Batch], dict[str, Tensor]]


class Captured:
    """The update of one player as a graph.

    Args:
        graph: replays it.
        rows: which of the training set the update sees (n,); written before a replay.
        terms: what the update leaves, overwritten by the next replay.
        n_images_shown: real images that it looks at.
    """

    def __init__(
        self, graph: torch.cuda.CUDAGraph, rows: Tensor, terms: dict[str, Tensor], n_images_shown: int
    ) -> None:
        self.graph, self.rows, self.terms, self.n_images_shown = graph, rows, terms, n_images_shown

    def replay(self, rows: Tensor) -> tuple[dict[str, Tensor], int]:
        self.rows.copy_(rows)
        self.graph.replay()
        return {name: value.clone() for name, value in self.terms.items()}, self.n_images_shown


class Capture:
    """Updates that are made one by one for some rounds, then captured and replayed.

    The rounds of warming up are rounds of training: nothing has to be put back.

    Args:
        update: makes one update of a player and returns its terms.
        data: the training set by field, on the GPU.
        generator: the device's own.
    """

    def __init__(self, update: Update, data: Mapping[str, Tensor], generator: torch.Generator) -> None:
        self.update, self.data, self.generator = update, data, generator
        self.graphs: dict[str, Captured] = {}
        self.pool = torch.cuda.graph_pool_handle()
        self.stream = torch.cuda.Stream(generator.device)
        self.first_round: int | None = None

    def __call__(self, player: str, rows: Tensor, state: State) -> tuple[dict[str, Tensor], int]:
        """Terms of one update, and how many real images it looked at; the generator is seeded already."""
        if self.first_round is None:
            self.first_round = state.rounds
        if state.rounds - self.first_round < WARM_UP_ROUNDS:
            return self._warm_up(player, rows)
        if player not in self.graphs:
            self.graphs[player] = self._captured(player, rows)
        return self.graphs[player].replay(rows)

    def _warm_up(self, player: str, rows: Tensor) -> tuple[dict[str, Tensor], int]:
        batch = Batch(self.generator, self.data, rows)
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            terms = self.update(player, batch)
        torch.cuda.current_stream().wait_stream(self.stream)
        return terms, batch.n_images_shown

    def _captured(self, player: str, rows: Tensor) -> Captured:
        """The graph of an update; nothing is computed while it is captured, and no draw is used up."""
        own = rows.clone()
        batch = Batch(self.generator, self.data, own)
        graph, seed = torch.cuda.CUDAGraph(), self.generator.initial_seed()
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
            terms = self.update(player, batch)
        self.generator.manual_seed(seed)
        return Captured(graph, own, terms, batch.n_images_shown)
