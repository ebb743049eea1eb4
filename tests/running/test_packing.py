"""Finished cells in one file: what travels, what is taken over elsewhere, and what is never overwritten."""

import json
import os
import shutil
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import fake_cells
import pytest

from gm_bench import io
from gm_bench.cell import Cell, resolved_of_dataset
from gm_bench.config import Params, load_params
from gm_bench.report.display import Samples
from gm_bench.results.schema import CellResult
from gm_bench.running import boards, packing, runner, taken
from gm_bench.running.chains import cell_chain, dataset_chain
from gm_bench.tracks.generation import nearest, pages, shown

ROOT = Path(__file__).resolve().parents[2]
ONE, OTHER = Cell("digits", "digits", "vae", 0), Cell("digits", "digits", "wgan", 1)
DIVERGED = Cell("digits", "digits", "gan", 2)
CELLS = (ONE, OTHER, DIVERGED)
PACK = Path("cells.zip")
PAIRS = (77, 3, 70, 12, 64, 63, 79, 0)


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """A folder with three finished cells, as if their stages had run."""
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    found = load_params()
    fake_cells.write_dataset(tmp_path)
    for cell in CELLS:
        for stage in boards.cell_stages(found, "digits"):
            write(cell.resolved(stage), f"recipe and code of {stage}, {cell.variant}")
    for stage in taken.OF_DATASET:
        write(resolved_of_dataset("digits", stage), stage)
    write_cells()
    return found


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_cells() -> None:
    for cell in CELLS:
        diverged_at = 70 if cell == DIVERGED else None
        folder = fake_cells.write_cell(Path(), cell.variant, cell.seed, diverged_at=diverged_at)
        write(folder / "model.safetensors", "weights")
        if cell != DIVERGED:  # pairs in no order, of samples that are not among the first
            io.write_tensors(folder / shown.SAMPLES, {"images": fake_cells.noise(cell.seed, 1, 80, 1, 8, 8)})
            metrics = io.read_json(folder / "metrics.json")
            for pair, place in zip(metrics["details"]["closest_pairs"][0], PAIRS, strict=True):
                pair["sample"] = place
            io.write_json(folder / "metrics.json", metrics)


def pack(params: Params, cells: Sequence[Cell] = CELLS, path: Path = PACK) -> Path:
    packing.pack(params, "digits", {cell: taken.made_of(params, cell) for cell in cells}, path)
    return path


def lose_cells() -> None:
    shutil.rmtree("runs")


def result(cell: Cell) -> CellResult:
    return fake_cells.read(cell.variant, cell.seed)


def stale(params: Params, cells: Sequence[Cell] = CELLS) -> dict[str, list[str]]:
    """What DVC says of cells whose stages it did not run."""
    return {stage: ["new"] for cell in cells for stage in cell_chain(params, cell).stages}


def left(params: Params) -> set[str]:
    """Cells with a stage that counts as stale."""
    found = taken.without_taken(params, "digits", stale(params))
    return {name.partition("@")[2] for name in found}


def rewritten(change: object, path: Path = PACK) -> None:
    """A pack whose pack.json is another."""
    with zipfile.ZipFile(path) as file:
        contents = {name: file.read(name) for name in file.namelist()}
    index = json.loads(contents["pack.json"])
    change(index)  # type: ignore[operator]
    contents["pack.json"] = json.dumps(index).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, content in contents.items():
            file.writestr(name, content)


class TestRoundTrip:
    def test_what_the_leaderboard_reads_arrives_and_what_is_large_does_not(self, params: Params) -> None:
        before = {
            path.as_posix(): path.read_bytes() for cell in CELLS for path in boards.outs_of(params, cell)
        }
        pack(params)
        lose_cells()
        assert packing.unpack(params, PACK).taken == list(CELLS)
        for path, content in before.items():
            name = Path(path).name
            if name in ("model.safetensors", "samples.safetensors"):
                assert not Path(path).exists()
            elif name != "snapshots.safetensors":
                assert Path(path).read_bytes() == content

    def test_pages_show_the_same_samples_and_pairs(self, params: Params) -> None:
        def seen(cell: Cell) -> tuple[Samples, list[nearest.Pair]]:
            return pages.samples(result(cell)), nearest.pairs(result(cell))

        before = {cell: seen(cell) for cell in CELLS}
        pack(params)
        lose_cells()
        packing.unpack(params, PACK)
        for cell in (ONE, OTHER):
            (samples, pairs), (then, pairs_then) = seen(cell), before[cell]
            assert samples.images is not None
            assert then.images is not None
            assert samples.images.equal(then.images)
            assert samples.snapshots is not None
            assert then.snapshots is not None
            assert samples.snapshots.equal(then.snapshots[:, : shown.N_OF_SNAPSHOT])
            assert samples.images_shown == then.images_shown
            assert [pair.sample.tolist() for pair in pairs] == [pair.sample.tolist() for pair in pairs_then]
            drawn = fake_cells.noise(cell.seed, 1, 80, 1, 8, 8)[0]
            assert [pair.sample.tolist() for pair in pairs] == drawn[list(PAIRS)].tolist()
        assert pages.samples(result(DIVERGED)).images is None

    def test_the_same_cells_are_the_same_bytes_also_of_those_taken_over(self, params: Params) -> None:
        first = pack(params).read_bytes()
        lose_cells()
        packing.unpack(params, PACK)
        assert pack(params, path=Path("again.zip")).read_bytes() == first

    def test_a_place_that_did_not_travel_is_named(self, params: Params) -> None:
        pack(params)
        lose_cells()
        packing.unpack(params, PACK)
        with pytest.raises(OSError, match=r"shown\.safetensors lacks the sample \(2, 5\)"):
            shown.read(ONE, [(0, 1), (2, 5)])


class TestHolds:
    @pytest.fixture(autouse=True)
    def _unpacked(self, params: Params) -> None:
        pack(params)
        lose_cells()
        packing.unpack(params, PACK)

    def test_stages_of_cells_taken_over_count_as_fresh(self, params: Params) -> None:
        of_others = {"reference@digits": ["new"], "train@digits-lsgan-0": ["new"]}
        assert taken.without_taken(params, "digits", stale(params) | of_others) == of_others

    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            (ONE.resolved("train"), ["digits-vae-0"]),
            (ONE.resolved("evaluate"), ["digits-vae-0"]),
            (OTHER.folder / "metrics.json", ["digits-wgan-1"]),
            (OTHER.folder / "grid.png", ["digits-wgan-1"]),
            (Path("data/digits/train.safetensors"), sorted(cell.name for cell in CELLS)),
            (Path("data/digits/test.safetensors"), sorted(cell.name for cell in CELLS)),
            (Path("resolved/datasets/digits/reference.json"), sorted(cell.name for cell in CELLS)),
        ],
        ids=str,
    )
    def test_not_once_recipe_code_data_or_a_file_is_another(
        self, params: Params, path: Path, expected: list[str]
    ) -> None:
        assert left(params) == set()
        assert all(map(taken.is_taken, CELLS))
        path.write_bytes(path.read_bytes() + b" ")
        assert sorted(left(params)) == expected
        assert sorted(cell.name for cell in CELLS if not taken.is_taken(cell)) == expected

    def test_data_that_is_not_here_yet_is_awaited(self, params: Params) -> None:
        def states() -> dict[str, str]:
            of = runner.cell_states(params, "digits", taken.without_taken(params, "digits", stale(params)))
            return {cell.name: of[cell] for cell in CELLS}

        assert set(states().values()) == {"fresh"}
        kept = Path("data/digits/train.safetensors").rename("elsewhere")
        assert set(states().values()) == {taken.UNPACKED}
        write(ONE.resolved("train"), "{}")
        assert states() == dict.fromkeys(states(), taken.UNPACKED) | {"digits-vae-0": "stale"}
        (OTHER.folder / "cost.json").unlink()
        assert states()["digits-wgan-1"] == "stale"
        kept.rename("data/digits/train.safetensors")
        assert states()["digits-vae-0"] == "stale"

    def test_what_is_made_of_no_data_waits_for_the_stages_of_its_dataset_alone(self, params: Params) -> None:
        """As claims, whose group was not resolved here: another stage than their own is stale."""
        mark = json.loads((ONE.folder / taken.MARKER).read_text())
        mark["made_of"] = {path: d for path, d in mark["made_of"].items() if not path.startswith("data/")}
        (ONE.folder / taken.MARKER).write_text(json.dumps(mark))
        of_dataset = dataset_chain(params, "digits", "digits").stages
        states = runner.cell_states(params, "digits", of_dataset)
        assert (states[ONE], states[OTHER]) == (taken.UNPACKED, "stale"), "the other's data is here"
        write(ONE.resolved("train"), "{}")
        assert runner.cell_states(params, "digits", of_dataset)[ONE] == "stale"

    @pytest.mark.parametrize("name", ["cost.json", taken.MARKER])
    def test_not_where_a_file_is_missing(self, params: Params, name: str) -> None:
        (ONE.folder / name).unlink()
        assert left(params) == {"digits-vae-0"}

    @pytest.mark.parametrize("content", ["[]", "{}", "null", '{"made_of": {"a": 1}, "files": {}}', "\xff"])
    def test_not_where_what_says_so_is_of_another_form(self, params: Params, content: str) -> None:
        (ONE.folder / taken.MARKER).write_bytes(content.encode("latin-1"))
        assert left(params) == {"digits-vae-0"}
        assert not taken.awaits_data(ONE)
        assert ONE in packing.unpack(params, PACK).here

    def test_half_an_unpacking_is_completed_by_the_next(self, params: Params) -> None:
        (ONE.folder / "metrics.json").unlink()
        write(OTHER.folder / taken.MARKER, '{"made')
        found = packing.unpack(params, PACK)
        assert ONE in found.taken
        assert OTHER in found.here, "whose the files of a damaged marker are is not known"
        assert left(params) == {"digits-wgan-1"}


class Killed(BaseException):
    """As Ctrl-C and SIGKILL: no handler of errors catches it."""


class TestANewerPack:
    @pytest.fixture
    def packs(self, params: Params) -> dict[str, dict[str, bytes]]:
        """old.zip, which was unpacked, and new.zip, of another training: what each has of a cell."""
        pack(params, [ONE], Path("old.zip"))
        fake_cells.write_cell(
            Path(), ONE.variant, ONE.seed, fid=(20.0, 21.0, 22.0), training_key="ab" * 32, history_rows=30
        )
        pack(params, [ONE], Path("new.zip"))
        lose_cells()
        packing.unpack(params, Path("old.zip"))
        found = {}
        for name in ("old.zip", "new.zip"):
            with zipfile.ZipFile(name) as file:
                listed = [each for each in file.namelist() if each != "pack.json"]
                found[name] = {Path(each).name: file.read(each) for each in listed}
        differ = [each for each in found["old.zip"] if found["old.zip"][each] != found["new.zip"][each]]
        assert {"metrics.json", "cost.json", "history.csv"} <= set(differ), "the fixture can tell them apart"
        return found

    @pytest.mark.parametrize("then", ["new.zip", "old.zip"])
    def test_an_interrupted_unpacking_is_completed_by_either(
        self, then: str, params: Params, packs: dict[str, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Killed before each of the calls that change the folder, one after another."""
        step, was_killed = 0, True
        while was_killed:
            lose_cells()
            packing.unpack(params, Path("old.zip"))
            note = ONE.folder / "note.txt"
            note.write_text("the user's own", encoding="utf-8")
            was_killed = self.killed_at(step, monkeypatch, lambda: packing.unpack(params, Path("new.zip")))
            found = packing.unpack(params, Path(then))
            assert (found.taken, found.here) == ([ONE], []), step
            there = {path.name: path.read_bytes() for path in ONE.folder.iterdir()}
            assert there.pop(note.name) == b"the user's own"
            del there[taken.MARKER]
            assert there == packs[then], step
            assert taken.is_taken(ONE)
            step += 1
        assert step > 2 * len(packs["old.zip"]), "each file went and came"

    @staticmethod
    def killed_at(n: int, monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> bool:
        """Whether work was killed, which is so before its n-th call that removes or replaces a file."""
        left = n

        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    raise Killed
                return real(*arguments, **options)

            return call

        with monkeypatch.context() as patched:
            for name in ("unlink", "replace"):
                patched.setattr(Path, name, counted(getattr(Path, name)))
            try:
                work()
            except Killed:
                for file in ONE.folder.glob(".*"):  # of a write that was killed
                    os.unlink(file)
                return True
        return False

    def test_a_file_that_only_the_earlier_pack_has_does_not_stay(self, params: Params) -> None:
        pack(params, [ONE], Path("old.zip"))
        fake_cells.write_cell(Path(), ONE.variant, ONE.seed, diverged_at=70)
        pack(params, [ONE], Path("new.zip"))
        lose_cells()
        packing.unpack(params, Path("old.zip"))
        assert (ONE.folder / shown.SHOWN).exists()
        packing.unpack(params, Path("new.zip"))
        assert not (ONE.folder / shown.SHOWN).exists()

    def test_a_file_that_was_changed_since_is_kept(self, params: Params, packs: object) -> None:
        own = ONE.folder / "cost.json"
        own.write_text("{}", encoding="utf-8")
        assert packing.unpack(params, Path("new.zip")).here == [ONE]
        assert own.read_text(encoding="utf-8") == "{}"
        assert taken.marker(ONE) is not None


class TestKeeps:
    def test_cells_that_are_here_stay_as_they_are(self, params: Params) -> None:
        pack(params)
        shutil.rmtree(OTHER.folder)
        own = ONE.folder / "metrics.json"
        own.write_text(own.read_text(encoding="utf-8") + " ", encoding="utf-8")
        text = own.read_text(encoding="utf-8")
        found = packing.unpack(params, PACK)
        assert (found.taken, set(found.here)) == ([OTHER], {ONE, DIVERGED})
        assert own.read_text(encoding="utf-8") == text
        assert taken.marker(ONE) is None

    def test_a_cell_made_anew_after_it_was_taken_over_is_not_overwritten(self, params: Params) -> None:
        pack(params)
        lose_cells()
        packing.unpack(params, PACK)
        write(ONE.folder / "model.safetensors", "weights of a later training")
        assert ONE in packing.unpack(params, PACK).here

    def test_cells_that_the_board_does_not_have_are_named(self, params: Params) -> None:
        pack(params)
        lose_cells()
        rewritten(lambda index: index["cells"][0].update(seed=9))
        found = packing.unpack(params, PACK)
        assert found.unknown == [Cell("digits", "digits", "vae", 9)]
        assert not Path("runs/digits/digits/vae").exists()

    def test_a_pack_of_more_cells_is_not_replaced(self, params: Params) -> None:
        before = pack(params).read_bytes()
        with pytest.raises(ValueError, match="holds 1 cells that are not finished here") as refused:
            pack(params, [ONE, DIVERGED])
        assert "digits/wgan/1 of digits" in str(refused.value)
        assert PACK.read_bytes() == before
        pack(params, [ONE], Path("other.zip"))
        pack(params, CELLS, Path("other.zip"))

    def test_a_file_that_is_no_pack_is_not_replaced(self, params: Params) -> None:
        write(PACK, "mine")
        with pytest.raises(
            ValueError, match=r"^cells\.zip is there and is no pack .*: name another file with --out$"
        ):
            pack(params)
        assert PACK.read_text(encoding="utf-8") == "mine"


class TestRefuses:
    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (lambda index: index.update(version=2), "is no pack of this version"),
            (lambda index: index.pop("cells"), "is no pack of this version"),
            (lambda index: index["cells"][0]["files"].update({"../x": "0"}), "names files that no cell has"),
            (
                lambda index: index["cells"][0]["files"].update({"unpacked.json": "0"}),
                "names files that no cell",
            ),
            (lambda index: index.update(board="nope"), "nope"),
        ],
    )
    def test_what_is_not_written_by_pack(self, params: Params, change: object, sentence: str) -> None:
        pack(params)
        lose_cells()
        rewritten(change)
        with pytest.raises(ValueError, match=sentence):
            packing.unpack(params, PACK)
        assert not Path("runs").exists()

    def test_a_file_that_is_not_there_or_no_zip(self, params: Params) -> None:
        with pytest.raises(OSError, match="not found"):
            packing.unpack(params, Path("none.zip"))
        write(PACK, "text")
        with pytest.raises(ValueError, match="is no pack"):
            packing.unpack(params, PACK)

    def test_a_damaged_member_is_named_and_the_cell_is_not_taken(self, params: Params) -> None:
        pack(params)
        lose_cells()
        rewritten(lambda index: index["cells"][0]["files"].update({"cost.json": "0" * 64}))
        with pytest.raises(OSError, match=r"damaged at digits/vae/0/cost\.json"):
            packing.unpack(params, PACK)
        assert not ONE.folder.exists()
        rewritten(lambda index: index["cells"][0]["files"].update({"absent.json": "0" * 64}))
        with pytest.raises(OSError, match=r"damaged at digits/vae/0/absent\.json"):
            packing.unpack(params, PACK)

    def test_no_changed_byte_of_a_member_is_more_than_a_sentence(self, params: Params) -> None:
        """Where its compressed bytes begin, and where the list at the end says how they are to be read."""
        pack(params, [ONE])
        content = PACK.read_bytes()
        name = b"digits/vae/0/metrics.json"
        first, listed = content.index(name) + len(name), content.rindex(name) - 46
        sentences = set()
        for place in [*range(first, first + 40), *range(listed + 6, listed + 12)]:
            for flipped in (1, 255):
                damaged = bytearray(content)
                damaged[place] ^= flipped
                PACK.write_bytes(damaged)
                shutil.rmtree("runs", ignore_errors=True)
                try:
                    packing.unpack(params, PACK)
                except (ValueError, OSError) as refused:
                    sentences.add(str(refused).partition(" (")[0].partition(":")[0])
                    assert not (ONE.folder / taken.MARKER).exists()
        assert sentences == {
            "cells.zip is damaged at digits/vae/0/metrics.json",
            "cells.zip is no pack of this version",
        }
