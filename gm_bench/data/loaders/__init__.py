"""Where images come from: one loader a file."""
