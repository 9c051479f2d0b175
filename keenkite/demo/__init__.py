"""A drawn world and a tiny trained model, for machines without a network."""
