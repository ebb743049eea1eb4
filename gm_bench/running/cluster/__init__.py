"""Cells on the nodes of a Ray cluster, from files to files (docs/cluster.md).

Ray only schedules: one task a cell. The task (`task.py`) starts `node.py` as a process of its own, which
works in a folder of its own with DVC's command line: it pulls the dataset's files from the remote, runs the
cell's stages, pushes what they wrote, and leaves a record (`record.py`) on the store, a folder beside the
remote's files. The driver (`executor.py`) merges records into the board's dvc.lock and pulls the files
(`collecting.py`), so that the working folder ends as after a local run. Checkpoints are copied to the store
while a cell trains, so that a cell whose node is lost goes on elsewhere; records stay there, so that no
finished cell is run again.

Only `pool.py` and `task.py` import Ray.
"""
