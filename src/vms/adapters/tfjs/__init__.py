"""TensorFlow.js models become ONNX, without TensorFlow. docs/format/conversion.md says of which models."""

from vms.adapters.tfjs.conversion import convert
from vms.adapters.tfjs.face_api import convert_face_api

__all__ = ["convert", "convert_face_api"]
