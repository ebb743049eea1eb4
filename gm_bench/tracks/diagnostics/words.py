"""What a claim's file says in its docstring besides title and source: for readers, no part of what is run.

In short: …             the answer in a sentence, beside the verdict
Found: …                what came out and why, with what was tried by hand
In short on BOARD: …    the same of a board other than the first, as Found on BOARD
all else                equations, how things are measured, what deviates from the source
"""

from importlib import import_module

from gm_bench.tracks.diagnostics.claim import find

FIRST = "claims"  # the board that is meant where none is named
TOLD_APART = ("Source:", "Found", "In short")


def explained(name: str) -> list[str]:
    """The paragraphs of a claim's file between its source and what was found; equations are indented."""
    _title, *paragraphs = _paragraphs(name)
    return [paragraph for paragraph in paragraphs if not paragraph.startswith(TOLD_APART)]


def found(name: str, board: str) -> str:
    """What was found when a claim was run on a board; what the first board says where it has no words."""
    return _of_board(name, "Found", board)


def in_short(name: str, board: str) -> str:
    """The answer in a sentence; the same."""
    text = _of_board(name, "In short", board)
    return text[:1].upper() + text[1:] if text[:1].isascii() else text  # Σ is not σ


def _of_board(name: str, what: str, board: str) -> str:
    paragraphs = [" ".join(paragraph.split()) for paragraph in _paragraphs(name)]
    for start, of in ((f"{what} on {board}: ", ""), (f"{what}: ", "" if board == FIRST else f"on {FIRST}, ")):
        for paragraph in paragraphs:
            if paragraph.startswith(start):
                return of + paragraph.removeprefix(start)
    return ""


def _paragraphs(name: str) -> list[str]:
    text = import_module(find(name).experiment.__module__).__doc__ or ""
    return [paragraph.rstrip() for paragraph in text.strip("\n").split("\n\n")]
