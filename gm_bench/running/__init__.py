"""What drives the stages: DVC, the terminal."""
