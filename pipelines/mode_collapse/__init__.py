"""Mode collapse on mixtures of Gaussians in the plane."""
