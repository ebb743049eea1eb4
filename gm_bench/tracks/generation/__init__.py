"""The main track: samples against real images."""
