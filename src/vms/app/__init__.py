"""Wiring: which adapters satisfy which contracts, in which processes."""
