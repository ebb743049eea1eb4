"""What is measured of trained models, one folder for each track.

Nothing is imported here, nor in a track's own `__init__`: a stage that measures imports its package, and is
not to depend on how results are shown. A track is declared in its module `track` (see `tracks.track.find`).
"""
