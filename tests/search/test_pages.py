"""Pages of a board of searches are shown as its own track shows them."""

from fake_cells import protocol

from gm_bench.results.leaderboard import Leaderboard
from gm_bench.tracks.search.pages import pages
from gm_bench.tracks.search.track import TRACK
from gm_bench.tracks.track import with_notes


def test_the_note_of_a_dataset_stands_on_its_pages() -> None:
    track = with_notes(TRACK, {"digits": "Taken in the rain."})
    of, floor, rows = {"digits": protocol("digits")}, {"digits": {"fid": 0.5}}, {"digits": []}
    board = Leaderboard("search", "search", TRACK.catalogue, of, floor, {"digits": {}}, rows)
    made = pages(track, board, [], {"digits": []})
    assert "- Taken in the rain." in made["leaderboard.md"]
    assert "<li>Taken in the rain.</li>" in made["leaderboard.html"]
