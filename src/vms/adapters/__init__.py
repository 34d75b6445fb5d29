"""A folder per technology; each satisfies contracts and knows no other."""
