"""Mode collapse: how many modes of a known mixture of Gaussians in the plane a generator finds."""
