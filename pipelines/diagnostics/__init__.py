"""Claims: experiments of points and curves."""
