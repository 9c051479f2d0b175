"""How well a model finds labelled images."""
