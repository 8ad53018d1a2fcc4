"""What of the graph came from the queries themselves, for leave-one-out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from naics_graph.encode.channels import text_key
from naics_graph.taxonomy.labelled import LabelledText


def own_entries(asked: Sequence[LabelledText], entries: Sequence[str]) -> Tensor:
    """(q, k) positions of the entries that say a query's text, padded with -1.

    A text may stand as several entries: of the Bureau, of the companion, or of another code.

    Args:
        asked: the q queries.
        entries: texts of the graph's entries, in its order.
    """
    places: defaultdict[str, list[int]] = defaultdict(list)
    for i, text in enumerate(entries):
        places[text_key(text)].append(i)
    own = [places.get(text_key(item.text), []) for item in asked]
    width = max(map(len, own), default=0)
    return torch.tensor([[*found, *[-1] * (width - len(found))] for found in own]).view(
        len(own), width
    )


def own_exclusions(asked: Sequence[LabelledText], position: Mapping[str, int]) -> Tensor:
    """(q, 2) code positions of the exclusion each query's clause was taken from, or -1.

    The edge goes to the code the sentence names; the label may be a code below it.
    """
    pairs = [
        (-1, -1) if item.excluded is None else (position[item.holder], position[item.excluded])
        for item in asked
    ]
    return torch.tensor(pairs, dtype=torch.int64).view(len(pairs), 2)
