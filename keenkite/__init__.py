"""Search satellite imagery in plain words."""
