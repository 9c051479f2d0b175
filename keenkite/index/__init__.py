"""The tile index on Qdrant."""
