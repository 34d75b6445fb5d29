"""VMS Enterprise."""
