"""What several test files share: doubles with the contract of the real thing, servers, drawn data."""
