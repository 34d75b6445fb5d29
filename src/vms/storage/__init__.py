"""The storage service: the archive, stills out of it, exports."""
