"""The ingest service: cameras, their connections and their state."""
