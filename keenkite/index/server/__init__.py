"""An index on a Qdrant server or cluster, by URL."""
