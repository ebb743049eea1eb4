"""The leaderboard as web pages."""
