"""Understanding cameras' pictures: what is looked at when, what is followed, and what rules find in it."""
