"""Models on disk: the catalogue that the package brings, and the shelf of what is installed."""

from vms.adapters.models.manifests import DEFAULTS, PACKAGED, catalogue
from vms.adapters.models.shelf import Shelf

__all__ = ["DEFAULTS", "PACKAGED", "Shelf", "catalogue"]
