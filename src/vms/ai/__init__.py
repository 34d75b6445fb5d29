"""Understanding pictures: what is looked at where and when, what is followed, what that means."""
