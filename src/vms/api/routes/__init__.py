"""The routes, a module per table row of the interface."""
