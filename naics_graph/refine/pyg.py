"""The one door to PyTorch Geometric.

Importing it takes seconds and compiles TorchScript, which torch has deprecated; nobody who only
answers queries should wait for either. So modules that answer queries import this one late.
"""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", r".*torch\.jit\..* is deprecated", DeprecationWarning)
    from torch_geometric.data import EdgeAttr, FeatureStore, GraphStore, HeteroData, TensorAttr
    from torch_geometric.loader import NodeLoader
    from torch_geometric.nn import MessagePassing
    from torch_geometric.sampler import BaseSampler, HeteroSamplerOutput, NodeSamplerInput
    from torch_geometric.utils import softmax

__all__ = [
    "BaseSampler",
    "EdgeAttr",
    "FeatureStore",
    "GraphStore",
    "HeteroData",
    "HeteroSamplerOutput",
    "MessagePassing",
    "NodeLoader",
    "NodeSamplerInput",
    "TensorAttr",
    "softmax",
]
