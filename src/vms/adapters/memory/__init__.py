"""Everything in memory: for tests, and as the plainest reading of the contracts."""
