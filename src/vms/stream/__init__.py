"""The stream service: live pictures, and links for players that cannot log in."""
