"""An index in a folder: Qdrant Edge, the engine in this process."""
