"""Training one model: the loop and what it keeps."""
