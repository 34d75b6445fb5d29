"""The AI service: what happens in cameras' pictures, and what looks for it."""
