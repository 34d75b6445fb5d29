"""The gateway: who is asking, how often, and what they may do."""
