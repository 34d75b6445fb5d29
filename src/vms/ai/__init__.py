"""Understanding cameras' pictures: what is looked at when and where, what is followed, and what rules find in it."""
