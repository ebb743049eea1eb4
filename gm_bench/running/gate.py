"""What `gm-bench check` and `gm-bench compare` do: read two sides, judge, show.

Exit codes of `check`: 0 nothing got worse, 1 something did, 2 the two cannot be compared.
"""

import json
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gm_bench import io
from gm_bench.cell import reports_of
from gm_bench.config import load_params
from gm_bench.defaults import BASELINE, LEADERBOARD
from gm_bench.metrics.catalogue import Catalogue
from gm_bench.report.formatting import count
from gm_bench.report.gate import READING, in_one_sentence, rich_table, to_markdown
from gm_bench.results import contrast, regression
from gm_bench.results.baseline import Baseline, of_board, read_baseline, read_board, to_json
from gm_bench.results.comparing import NotComparable, Verdict
from gm_bench.results.leaderboard import Leaderboard, catalogue_of
from gm_bench.running import revision
from gm_bench.running.more_seeds import MoreSeeds
from gm_bench.running.stage import screen
from gm_bench.tracks.track import find

PASSED, REGRESSION, CANNOT_COMPARE = 0, 1, 2
HEADING = "Regression gate"
TRACK = "generation"  # of files that do not name theirs


@dataclass(frozen=True)
class Resolving:
    """More seeds where it is unclear: so many of a variant at most, and cells side by side."""

    most: int
    jobs: int


def check(
    baseline: str,
    leaderboard: Path,
    update: bool,
    summary: Path | None,
    resolving: Resolving | None = None,
) -> int:
    """Judge a leaderboard against a baseline, or accept it as the new one.

    Args:
        baseline: a file, or a revision, of which that of the same board is taken.
        leaderboard: file to be judged.
        update: write `leaderboard` into the file `baseline`; there is no verdict then.
        summary: Markdown is written there.
        resolving: run more seeds of variants that look worse but cannot be told from noise; with `update` of
            every variant, up to the bound. None for the seeds that the leaderboard has.

    Returns:
        The exit code.
    """
    try:
        board = _read_board(_content(leaderboard), str(leaderboard))
        if update:
            return _update(Path(baseline), board, resolving)
        accepted = _baseline(baseline, _reported(board))
        if resolving is None:
            verdict = regression.check(accepted, board)
        else:
            run = MoreSeeds(board, resolving.jobs).run
            verdict = regression.judge(accepted, board, run, resolving.most)
        if summary:
            io.write_text(summary, to_markdown(verdict, HEADING, board.catalogue))
    except (ValueError, OSError) as error:
        return _cannot_compare(error, summary)
    if resolving is None:
        said = f"{leaderboard} against {baseline}, as they lie there: nothing was run for it"
        screen().print(said, soft_wrap=True)
    _print(verdict, board.catalogue)
    return PASSED if verdict.passed else REGRESSION


def check_board(name: str, summary: Path | None) -> int:
    """Run anew what the track of a board lets the gate watch, and hold it against the committed report.

    Args:
        summary: Markdown is written there.

    Returns:
        The exit code.
    """
    found: list[str] = []
    n_watched = 0
    try:
        params = load_params()
        file = reports_of(name) / "leaderboard.json"
        changes = find(params.board(name).track).changes
        watched = changes(params, name, _read_board(io.read_json(file), str(file))) if changes else ()
        for what, sentences in watched:
            n_watched += 1
            found += sentences
            screen().print("\n".join(sentences) or f"{what}: as accepted", soft_wrap=True)
        if not n_watched:
            raise NotComparable(
                f"nothing of the board {name} is watched by itself, its leaderboards are compared: "
                f"gm-bench check --leaderboard {file} --baseline FILE"
            )
        said = (
            f"Changed: {count(len(found), 'thing')}"
            if found
            else f"Passed: {n_watched} of the board {name} as accepted"
        )
        if summary:
            lines = "".join(f"\n- {sentence}" for sentence in found)
            io.write_text(summary, f"## {HEADING}: {name}\n\n{said}.\n{lines}\n")
    except (ValueError, OSError) as error:
        return _cannot_compare(error, summary)
    screen().print(f"{said}.", style="bold red" if found else "bold green", soft_wrap=True)
    return REGRESSION if found else PASSED


def compare(first: str, second: str, leaderboard: Path) -> None:
    """Print how two variants of `leaderboard`, or two leaderboards, differ.

    Args:
        first, second: variants, files, or revisions, of which the report of the same board is taken.

    Raises:
        ValueError: one of them is neither, or they are of two kinds.
    """
    variants, reported = set(), LEADERBOARD
    if leaderboard != LEADERBOARD or leaderboard.exists():
        board = _read_board(_content(leaderboard), str(leaderboard))
        variants, reported = {variant for _, variant in board.by_key}, _reported(board)
    named = [name for name in (first, second) if name in variants and not Path(name).is_file()]
    if len(named) == 2:
        verdict = contrast.contrast_variants(board, first, second)
        catalogue = catalogue_of(board.by_key.values(), catalogue=board.catalogue)
    elif named:
        other = second if named[0] == first else first
        raise ValueError(
            f"{named[0]} is a variant and '{other}' is not: give two of {', '.join(sorted(variants))}, "
            "or two files or revisions"
        )
    else:
        before, after = _board(first, reported), _board(second, reported)
        verdict = contrast.contrast(before, after)
        sides = (before.by_key.values(), after.by_key.values())
        catalogue = catalogue_of(*sides, catalogue=after.catalogue)
    _print(verdict, catalogue, gating=False)


def _cannot_compare(error: Exception, summary: Path | None) -> int:
    sys.stderr.write(f"cannot compare: {' '.join(str(error).split())}\n")
    if summary:
        with suppress(ValueError, OSError):  # it may be the summary that cannot be written
            io.write_text(summary, f"## {HEADING}\n\nCannot compare: {error}\n")
    return CANNOT_COMPARE


def _update(path: Path, board: Leaderboard, resolving: Resolving | None) -> int:
    """Write the new baseline; the spreads of the one before it are kept where they were measured alike."""
    if not path.exists() and path.suffix != ".json":
        raise NotComparable(f"{path} is no file: --update writes one, name it with a .json at its end")
    if board.missing:
        raise NotComparable(
            f"{count(len(board.missing), 'cell')} of the board {board.name} are missing "
            f"({board.missing[0]}, …), which nothing would watch then: run gm-bench run --board {board.name}"
        )
    if path.name == LEADERBOARD.name:
        raise NotComparable(f"{path} is a leaderboard, which --update would replace: name another --baseline")
    earlier = _read_baseline(_content(path), str(path)) if path.exists() else None
    if earlier and earlier.board.name and board.name and earlier.board.name != board.name:
        raise NotComparable(
            f"{path} is the baseline of the board {earlier.board.name}, the leaderboard is of {board.name}: "
            f"give --leaderboard {_reported(earlier.board)}, or another --baseline"
        )
    own = tuple(sorted({seed for entry in board.by_key.values() for seed in entry.seeds}))
    if resolving is not None:
        wanted = {
            key: regression.more_seeds(entry.seeds, resolving.most - len(entry.seeds))
            for key, entry in board.by_key.items()
        }
        board = MoreSeeds(board, resolving.jobs).run(wanted)
    new = of_board(board, revision.current(), earlier, own)
    if not new.spreads:
        raise NotComparable(
            "a baseline needs two seeds or more of a variant: without them noise is not known"
        )
    io.write_json(path, to_json(new))
    n_seeds = [len(entry.seeds) for entry in board.by_key.values()]
    least = f"{min(n_seeds)} to " if min(n_seeds) < max(n_seeds) else ""
    n_pooled = sum(spread.degrees for spread in new.spreads.values())
    screen().print(
        f"{path}: {len(board.by_key)} rows of revision {new.revision}, "
        f"{least}{max(n_seeds)} seeds each, "
        f"noise known with {n_pooled} degrees of freedom in {len(new.spreads)} spreads",
        soft_wrap=True,
    )
    return PASSED


def _reported(board: Leaderboard) -> Path:
    """Where the leaderboard of a board stands in every revision; of one without a name that of the first."""
    return reports_of(board.name) / LEADERBOARD.name if board.name else LEADERBOARD


def _baseline(name: str, leaderboard: Path) -> Baseline:
    """The baseline in a file, or that of a revision beside `leaderboard`; that itself where there is none."""
    path = Path(name)
    if path.is_file():
        return _read_baseline(_content(path), name)
    if path == BASELINE:
        raise NotComparable(f"{path} is not there: gm-bench check --update makes it of {LEADERBOARD}")
    files = (leaderboard.with_name(BASELINE.name), leaderboard)
    for file in files:
        content = revision.content_at(name, file)
        if content is not None:
            return _read_baseline(_parsed(content, f"{name}:{file}"), f"{name}:{file}")
    raise NotComparable(f"revision {name} has neither {' nor '.join(map(str, files))}")


def _board(name: str, leaderboard: Path) -> Leaderboard:
    """The leaderboard in a file, or `leaderboard` of a revision; a baseline's is taken too."""
    path = Path(name)
    if path.is_file():
        return _read_baseline(_content(path), name).board
    content = revision.content_at(name, leaderboard)
    if content is None:
        raise NotComparable(f"revision {name} has no {leaderboard}")
    return _read_board(_parsed(content, f"{name}:{leaderboard}"), f"{name}:{leaderboard}")


def _read_board(content: Any, name: str) -> Leaderboard:
    return read_board(content, name, _catalogue(content))


def _read_baseline(content: Any, name: str) -> Baseline:
    of_board = content.get("leaderboard", content) if isinstance(content, dict) else content
    return read_baseline(content, name, _catalogue(of_board))


def _catalogue(content: Any) -> Catalogue:
    """That of the track which a leaderboard.json names."""
    track = content.get("track") if isinstance(content, dict) else None
    return find(str(track or TRACK)).catalogue


def _content(path: Path) -> Any:
    """What a file holds that may be a board's own or one that the user names."""
    try:
        return _parsed(path.read_bytes(), str(path))
    except FileNotFoundError:
        made = "gm-bench run --board NAME writes reports/NAME/leaderboard.json"
        raise NotComparable(f"{path} is not there: {made}, or name another file") from None


def _parsed(text: str | bytes, name: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise NotComparable(
            f"{name} is damaged or no JSON ({error}): get it again, or name another"
        ) from None


def _print(verdict: Verdict, catalogue: Catalogue, gating: bool = True) -> None:
    console = screen()
    console.print(rich_table(verdict, READING, catalogue))
    for sentence in (*verdict.failures, *verdict.remarks):
        console.print(sentence, soft_wrap=True)
    if gating:
        style = "bold green" if verdict.passed else "bold red"
        console.print(in_one_sentence(verdict), style=style, soft_wrap=True)
