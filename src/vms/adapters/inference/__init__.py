"""Models run in a process per device, by ONNX Runtime or OpenVINO."""
