"""What several test files share: doubles with the real contract, servers, drawn data."""
