"""From a query to hits: `search` is the flow, `scoring` says what a score means."""
