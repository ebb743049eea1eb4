"""Equal-budget search of recipes."""
