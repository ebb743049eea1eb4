"""Stacked digits: images of three grey digits in three channels, whose modes a classifier tells apart."""
