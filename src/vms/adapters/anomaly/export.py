"""An auto-encoder as an ONNX graph, from grey levels to how unusual the picture is."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

from vms.adapters.anomaly.network import Array, AutoEncoder
from vms.adapters.anomaly.scale import CELL_PX, HEIGHT, LEAST_DEVIATION, WIDTH
from vms.domain.models import ModelInput, ModelManifest, ModelSource

if TYPE_CHECKING:
    from vms.adapters.anomaly.training import TrainedAnomaly

# Understood by every ONNX Runtime of the last years.
_OPSET = 17
_IR_VERSION = 8
# What the graph wants of a picture.
MODEL_INPUT = ModelInput(name="picture", layout="nchw", width=WIDTH, height=HEIGHT, colour="grey")


def to_onnx(network: AutoEncoder, allowed: Array, threshold: float) -> bytes:
    """The graph: `picture` [N, 1, HEIGHT, WIDTH] in levels of 0–255 → `score` [N] and `cells` [N, rows, columns], each
    e ÷ (e + threshold) of an error e (of the worst cell, and of each), so 0.5 and more is unusual."""
    rows, columns = HEIGHT // CELL_PX, WIDTH // CELL_PX
    constants = {
        "deviation": np.array(LEAST_DEVIATION, dtype=np.float32),
        "picture_shape": np.array([-1, 1, HEIGHT, WIDTH], dtype=np.int64),
        "cells_shape": np.array([-1, rows, columns], dtype=np.int64),
        "allowed": allowed.reshape(1, 1, rows, columns),
        "threshold": np.array(threshold, dtype=np.float32),
    }
    nodes = [
        helper.make_node("Flatten", ["picture"], ["levels"], axis=1),
        helper.make_node("ReduceMean", ["levels"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Sub", ["levels", "mean"], ["centred"]),
        helper.make_node("Mul", ["centred", "centred"], ["squares"]),
        helper.make_node("ReduceMean", ["squares"], ["variance"], axes=[1], keepdims=1),
        helper.make_node("Sqrt", ["variance"], ["root"]),
        helper.make_node("Add", ["root", "deviation"], ["contrast"]),
        helper.make_node("Div", ["centred", "contrast"], ["layer_0"]),
    ]
    for at, (weights, biases) in enumerate(zip(network.weights, network.biases, strict=True)):
        constants[f"weights_{at}"], constants[f"biases_{at}"] = weights, biases
        last = at == len(network.weights) - 1
        made = f"layer_{at + 1}" if last else f"sums_{at}"
        nodes.append(helper.make_node("Gemm", [f"layer_{at}", f"weights_{at}", f"biases_{at}"], [made]))
        if not last:
            nodes.append(helper.make_node("Relu", [made], [f"layer_{at + 1}"]))
    nodes += [
        helper.make_node("Sub", [f"layer_{len(network.weights)}", "layer_0"], ["missed"]),
        helper.make_node("Mul", ["missed", "missed"], ["missed_squares"]),
        helper.make_node("Reshape", ["missed_squares", "picture_shape"], ["missed_picture"]),
        helper.make_node(
            "AveragePool", ["missed_picture"], ["cell_errors"], kernel_shape=[CELL_PX] * 2, strides=[CELL_PX] * 2
        ),
        helper.make_node("Div", ["cell_errors", "allowed"], ["errors"]),
        helper.make_node("Add", ["errors", "threshold"], ["errors_and_threshold"]),
        helper.make_node("Div", ["errors", "errors_and_threshold"], ["cell_scores"]),
        helper.make_node("Reshape", ["cell_scores", "cells_shape"], ["cells"]),
        helper.make_node("ReduceMax", ["cells"], ["score"], axes=[1, 2], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "autoencoder",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["N", 1, HEIGHT, WIDTH])],
        [
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N"]),
            helper.make_tensor_value_info("cells", TensorProto.FLOAT, ["N", rows, columns]),
        ],
        [numpy_helper.from_array(np.ascontiguousarray(values), name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="vms")
    model.ir_version = _IR_VERSION
    checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def manifest_for(name: str, title: str, trained: TrainedAnomaly) -> ModelManifest:
    """What is written beside the model."""
    held_out = trained.held_out_errors
    return ModelManifest(
        name=name,
        version="1",
        title=title,
        task="anomaly",
        reader="autoencoder",
        source=ModelSource(kind="trained"),
        licence="Apache-2.0",
        commercial=True,
        notice=(
            f"Trained on {trained.pictures} pictures of normal footage. Threshold {trained.threshold:.3f}; "
            f"{len(held_out)} pictures that were held out: median {float(np.median(held_out)):.3f}, "
            f"highest {float(held_out.max()):.3f}."
        ),
        input=MODEL_INPUT,
        outputs={"score": "score", "cells": "cells"},
        labels=("unusual",),
        least_score=0.5,
        sha256=hashlib.sha256(trained.onnx).hexdigest(),
        size_bytes=len(trained.onnx),
        batch=True,
    )
