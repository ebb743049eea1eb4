"""Equal-budget search: for each variant as many trials of its recipe, the best of them trained anew."""
