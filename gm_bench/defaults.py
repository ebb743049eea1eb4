"""What is meant where a command or a call names none: the board, its leaderboard and its baseline."""

from gm_bench.cell import reports_of

BOARD = "digits"
LEADERBOARD = reports_of(BOARD) / "leaderboard.json"
BASELINE = LEADERBOARD.with_name("baseline.json")
