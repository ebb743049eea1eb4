"""Named datasets: one loader a file, found by its name."""
