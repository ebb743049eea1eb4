"""The regression gate: check, compare."""
