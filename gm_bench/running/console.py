"""What a stage shows while it works: a progress bar on a terminal, plain lines elsewhere."""

import sys
from types import TracebackType

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from gm_bench.running.stage import screen
from gm_bench.training.state import Progress as TrainingProgress

PLAIN_LINES = 10


class TrainingDisplay:
    """Loss, images per second and time left of one cell in training."""

    def __init__(self, title: str, n_images: int) -> None:
        self.title = title
        self.n_images = n_images
        self.console = screen(stderr=True)
        self.lines_shown = 0
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[status]}", markup=False),
            console=self.console,
            disable=not sys.stderr.isatty(),
        )
        self.task = self.bar.add_task(title, total=n_images, status="")

    def __enter__(self) -> "TrainingDisplay":
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def show(self, progress: TrainingProgress) -> None:
        losses = ", ".join(f"{k} {v:.3g}" for k, v in progress.row.items() if k.endswith("/loss"))
        status = (
            f"{losses} · {progress.images_per_second:,.0f} images/s · {_clock(progress.seconds_left)} left"
        )
        self.bar.update(self.task, completed=progress.images, status=status)
        lines = min(progress.images, self.n_images) * PLAIN_LINES // self.n_images
        if self.bar.disable and lines > self.lines_shown:
            self.lines_shown = lines
            self.note(f"{progress.images:,} of {self.n_images:,} images · {status}")

    def note(self, sentence: str) -> None:
        self.console.print(f"{self.title}: {sentence}", soft_wrap=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
