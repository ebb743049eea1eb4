"""Sets of generated images, held against real ones: quality, diversity, memorisation, likelihood."""
