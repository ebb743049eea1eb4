"""What `gm-bench add` does: look at a folder of images, say what it holds, write it into params.yaml."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import typer
from rich import box
from rich.table import Table
from rich.text import Text

from gm_bench import derived, io
from gm_bench.cell import reports_of
from gm_bench.config import PARAMS_FILE, ConfigError, Params, load_params, parse_params
from gm_bench.data.fingerprint import place_of
from gm_bench.data.listing import writable
from gm_bench.data.look import Look, look
from gm_bench.data.pixels import check_range
from gm_bench.derived import Facts
from gm_bench.report.figures import image_grid, png_bytes
from gm_bench.report.formatting import count, duration
from gm_bench.running.boards import RESERVED
from gm_bench.running.budget import budget, images_per_second
from gm_bench.running.entries import changing, is_name, read_params, with_entries
from gm_bench.running.gpus import n_cores
from gm_bench.running.inspection import numbers
from gm_bench.running.stage import screen
from gm_bench.tracks.settings import refuse_board

N_SHEET, COLUMNS, SHEET_SCALE = 64, 16, 3
N_NAMED = 3
LARGEST_SIDE = 64
TEST_SHARE, MOST_TESTED = 0.25, 10_000
LOW_RANGE_ENTRY = "params.yaml an entry of your own with allow_low_range: true (docs/datasets.md)"
PARTS = {"train": ("train", "training"), "test": ("test", "val", "valid", "validation")}


def add(path: Path, name: str, size: int | None, variants: list[str], sheet: Path | None) -> None:
    """Look at a folder, print what it holds, write a contact sheet and the entries.

    Args:
        path: of the folder.
        name: of the dataset and of its board.
        size: pixels a side to resize to; None for those of the images where all are fit for training.
        variants: of the board.
        sheet: where the contact sheet goes; None for reports/NAME/images.png.

    Raises:
        ConfigError: the name is taken or cannot be one, the path cannot be written down, the sheet would lie
            among the images, or these do not suffice.
        DataError: the folder cannot be read, or a file in it, or its images have hardly any contrast.
    """
    params = load_params()
    _check_name(params, name, variants)
    if writable(str(path)) != str(path):
        raise ConfigError(
            f"{writable(str(path))} is a path with bytes that are no UTF-8, which params.yaml is written in: "
            "rename that folder"
        )
    train, test = parts_of(path)
    found = look(train, _progress())
    if sheet is not None and place_of(str(path)).resolve() in sheet.resolve().parents:
        raise ConfigError(f"--sheet names {sheet}, which would be taken for one of the images: name another")
    of_test = None if test is None else look(test, _progress())
    console = screen()
    console.print(summary(found, str(train)))
    if of_test is not None:
        console.print(summary(of_test, str(test)))
    _refuse_unreadable(found, of_test)
    check_range(found.extremes, found.deep, str(train), LOW_RANGE_ENTRY)
    if of_test is not None:
        check_range(of_test.extremes, of_test.deep, str(test), LOW_RANGE_ENTRY)
    source = source_of(found, of_test, train, test, size)
    facts = facts_of(found, of_test, source)
    board: dict[str, Any] = {"datasets": [name], "variants": variants, "seeds": [0]}
    text = with_entries(read_params(), name, source, board)
    planned = parse_params(text, {name: facts})
    refuse_board(planned, name)
    typer.echo("measuring how fast each variant trains here", err=True)
    speeds = {v: images_per_second(planned, name, v, facts) for v in variants}
    board["n_images"] = budget(min(speeds.values()))
    picture, content = sheet or reports_of(name) / "images.png", png_bytes(_sheet(found))
    with changing():
        _check_name(load_params(), name, variants)  # another one may have taken it meanwhile
        text = with_entries(read_params(), name, source, board)
        planned = parse_params(text, {name: facts})
        io.write_bytes(picture, content)
        io.write_bytes(PARAMS_FILE, text.encode("utf-8"))
    console.print(numbers(planned, name, name))
    if "size" in source:
        side = source["size"]
        console.print(f"the centre of each image is resized to {side}×{side}; --size chooses another side")
    seconds = {variant: board["n_images"] / speed for variant, speed in speeds.items()}
    times = ", ".join(f"{variant} {duration(each)}" for variant, each in seconds.items())
    cores = n_cores()
    together = duration(max(max(seconds.values()), sum(seconds.values()) / cores))
    console.print(
        f"training on this machine, one core each: {times}; about {together} for all, {cores} side by side",
        soft_wrap=True,
    )
    console.print(f"wrote {picture}, and the dataset and board {name} into params.yaml", soft_wrap=True)
    console.print(f"next: gm-bench run --board {name}", soft_wrap=True)


def parts_of(path: Path) -> tuple[Path, Path | None]:
    """The folder of training images and that of test images, where the two are all there is in a folder."""
    folders = [
        each for each in place_of(str(path)).glob("*") if each.is_dir() and not each.name.startswith(".")
    ]
    if len(folders) == 2:
        of = {part: [f for f in folders if f.name.lower() in names] for part, names in PARTS.items()}
        if all(len(each) == 1 for each in of.values()):
            return path / of["train"][0].name, path / of["test"][0].name
    return path, None


def summary(found: Look, name: str) -> Table:
    """What a folder holds, a line each."""
    table = Table(box=box.SIMPLE_HEAD, show_header=False, title=Text(name), title_justify="left")
    table.add_column("")
    table.add_column("", overflow="fold")
    for term, said in _facts(found):
        table.add_row(term, Text(said))
    return table


def _facts(found: Look) -> Iterator[tuple[str, str]]:
    n = len(found.files)
    yield "images", f"{n:,}"
    sizes = [
        f"{width}×{height} ({of_size:,})" for (width, height), of_size in found.sizes.most_common(N_NAMED)
    ]
    more = f", and {len(found.sizes) - N_NAMED:,} other sizes" if len(found.sizes) > N_NAMED else ""
    yield "sizes", ", ".join(sizes) + more
    modes = ", ".join(count(n_of_mode, f"{mode} file") for mode, n_of_mode in found.n_modes.most_common())
    yield "colour", f"{modes}; {found.n_colour:,} images have channels that differ"
    counts = found.class_counts
    if counts:
        least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        alike = counts[least] == counts[most]
        spread = f"from {counts[least]:,} ({least}) to {counts[most]:,} images ({most})"
        yield "classes", f"{len(counts):,}: {f'{counts[least]:,} images each' if alike else spread}"
    else:
        yield "classes", "none: there are no sub-folders"
    for note in found.listing.notes:
        yield "not read", note
    if found.unreadable:
        yield "unreadable", f"{len(found.unreadable):,}: {'; '.join(found.unreadable[:N_NAMED])}"
    repeated = sum(len(each) - 1 for each in found.exact)
    named = "; ".join(" = ".join(f.as_posix() for f in each[:2]) for each in found.exact[:N_NAMED])
    yield "exact duplicates", f"{repeated:,}{f': {named}' if repeated else ''}"
    pairs = "; ".join(f"{a.as_posix()} ~ {b.as_posix()}" for a, b in found.near[:N_NAMED])
    among = f"{count(len(found.near), 'pair')} among {found.n_compared:,} images"
    yield "look alike", f"{among}{f': {pairs}' if found.near else ''}"
    groups = found.groups()
    if groups:
        rule, n_groups, n_together = groups
        yield (
            "groups",
            (
                f"{n_groups:,} by {rule!r}, in which {n_together:,} of these pairs lie: a group stays on one "
                "side of the split"
            ),
        )


def source_of(
    found: Look, of_test: Look | None, train: Path, test: Path | None, size: int | None
) -> dict[str, Any]:
    """The options of the loader `folder` for what was found; channels and size fit both folders."""
    source: dict[str, Any] = {"loader": "folder", "path": str(train)}
    if test is not None:
        source["test_path"] = str(test)
    else:
        n_test = round(len(found.files) * TEST_SHARE)
        source |= {"n_test": MOST_TESTED} if n_test > MOST_TESTED else {"test_fraction": TEST_SHARE}
        source["split_seed"] = 0
        groups = found.groups()
        if groups:
            source["groups"] = groups[0]
    looks = [each for each in (found, of_test) if each is not None]
    source["channels"] = max(each.channels for each in looks)
    sizes = {each for one in looks for each in one.sizes}
    fits = len(sizes) == 1 and all(w == h and fit_side(w) == w for w, h in sizes)
    if size is not None or not fits:
        source["size"] = size or fit_side(min(each.least_side for each in looks))
    return source


def fit_side(side: int) -> int:
    """The largest side that networks are made for, up to a side: at most 64, a multiple of 4 from 16 up."""
    side = min(side, LARGEST_SIDE)
    return side - side % 4 if side >= derived.SMALL_SIDE else side


def facts_of(found: Look, of_test: Look | None, source: Mapping[str, Any]) -> Facts:
    """What the splits will be, but for the rounding of each class and of groups."""
    side = source.get("size", found.least_side)
    n, counts = len(found.files), found.class_counts
    n_test = source.get("n_test", round(n * TEST_SHARE)) if of_test is None else len(of_test.files)
    left = (n - n_test) / n if of_test is None else 1.0
    per_class = tuple(round(counts[each] * left) for each in found.listing.classes)
    n_train = n - n_test if of_test is None else n
    return Facts(n_train, n_test, (source["channels"], side, side), per_class)


def _check_name(params: Params, name: str, variants: list[str]) -> None:
    if not is_name(name):
        raise ConfigError(
            f"--name is '{name}': give a word of small letters, digits and _ that YAML does not read "
            "otherwise, as it does numbers and yes"
        )
    if name in params.boards or name in params.datasets or name in RESERVED:
        kind = "boards" if name in params.boards or name in RESERVED else "datasets"
        raise ConfigError(f"--name is {name}, which {kind} of params.yaml has already: choose another one")
    for variant in variants:
        if variant not in params.variants:
            raise ConfigError(f"--variants names {variant}; known: {', '.join(params.variants)}")


def _refuse_unreadable(*looks: Look | None) -> None:
    bad = [sentence for each in looks if each is not None for sentence in each.unreadable]
    if bad:
        more = f", and {len(bad) - N_NAMED:,} more" if len(bad) > N_NAMED else ""
        raise ConfigError(f"{count(len(bad), 'file')} cannot be used: {'; '.join(bad[:N_NAMED])}{more}")


def _sheet(found: Look) -> torch.Tensor:
    places = torch.linspace(0, len(found.files) - 1, min(N_SHEET, len(found.files))).round().long()
    return image_grid(found.thumbnails[places], COLUMNS, SHEET_SCALE)


def _progress() -> Any:
    """Says now and then how many files were read, where that takes long."""
    said = [time.monotonic()]

    def on_file(n: int, of: int) -> None:
        if time.monotonic() - said[0] > 5:
            said[0] = time.monotonic()
            typer.echo(f"{n:,} of {of:,} files read", err=True)

    return on_file
