"""From a query to hits: `search` is the flow, `scoring` says what a score means."""

from keenkite.retrieval.query import Near, Query
from keenkite.retrieval.result import Hit, Result
from keenkite.retrieval.search import search

__all__ = ["Hit", "Near", "Query", "Result", "search"]
