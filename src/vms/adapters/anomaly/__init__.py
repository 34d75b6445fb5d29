"""Auto-encoders of our own, one per camera, trained by numpy on what the camera shows as a rule; written as ONNX, and
run like every other model."""

from vms.adapters.anomaly.export import MODEL_INPUT, manifest_for
from vms.adapters.anomaly.training import TrainedAnomaly, shrink, train, train_from

__all__ = ["MODEL_INPUT", "TrainedAnomaly", "manifest_for", "shrink", "train", "train_from"]
