"""Codes that training never saw: where do their texts alone put them? (DESIGN section 9)

Their labelled texts, edges and residuals, and those of the parents they are the only child of, are
left out by training on a taxonomy without them. Afterwards they are mapped from their channels, and
the question is whether the nearest code one level up is their parent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naics_graph.contrast.data import ContrastData
from naics_graph.contrast.space import CodeSpace
from naics_graph.encode.channels import ChannelFeatures, ChannelTexts, TextEncoder
from naics_graph.encode.reader import TextInputs
from naics_graph.evaluate.hierarchy import parent_hits
from naics_graph.geometry import lorentz
from naics_graph.taxonomy.model import Taxonomy, TaxonomyIndex, level_of
from naics_graph.taxonomy.tree import Tree

SHARE: Final = 0.1


@dataclass(frozen=True, slots=True)
class HeldOutMetrics:
    """parent@1 of held-out codes: over all of them, and over those whose parent has other children.

    A code without siblings shares its texts with its parent, which makes it easy.
    """

    codes: int
    parent_at_1: float
    with_siblings: int
    parent_at_1_with_siblings: float


def held_out_codes(taxonomy: Taxonomy, share: float = SHARE, seed: int = 0) -> tuple[str, ...]:
    """A seeded share of the six-digit codes, rounded down, ascending: 101 of the 1,012 of 2022."""
    leaves = sorted(i.code for i in taxonomy.industries if level_of(i.code) == 6)
    count = int(share * len(leaves))
    chosen = np.random.default_rng(seed).choice(leaves, count, replace=False)
    return tuple(sorted(str(code) for code in chosen))


def without_codes(taxonomy: Taxonomy, codes: Collection[str]) -> Taxonomy:
    """The taxonomy that never had some codes, nor the codes above that are left without children.

    Texts labelled with them and exclusions from or to them are gone as well.
    """
    index = TaxonomyIndex(taxonomy)
    gone = set(codes)
    # Children come after their parents: walking backwards, a parent is met after all of them.
    for code in reversed(index.codes):
        children = index.children[code]
        if children and gone.issuperset(children):
            gone.add(code)
    return dataclasses.replace(
        taxonomy,
        industries=tuple(i for i in taxonomy.industries if i.code not in gone),
        exclusions=tuple(
            e for e in taxonomy.exclusions if e.source not in gone and e.target not in gone
        ),
        entries=tuple(e for e in taxonomy.entries if e.code not in gone),
    )


def held_out_metrics(
    space: CodeSpace,
    data: ContrastData,
    whole: Taxonomy,
    held_out: Sequence[str],
    encoder: TextEncoder,
) -> HeldOutMetrics:
    """Place the held-out codes by their texts and look for their parents.

    Args:
        space: trained on `data`.
        data: of `without_codes(whole, held_out)`.
        whole: the taxonomy with all codes.
        held_out: the codes never trained on.
        encoder: of the backbone's vectors, frozen or as it is after it has learned.

    Raises:
        ValueError: the space still holds a backbone that learns, which `encoder` is not.
    """
    if space.reader.backbone is not None:
        raise ValueError("the space reads with a backbone that learns; give its encoder instead")
    points = placed(space, data, whole, encoder)
    return parents_found(points, Tree.of(whole), held_out, space.curvature)


def parents_found(
    points: Tensor, tree: Tree, held_out: Sequence[str], curvature: float
) -> HeldOutMetrics:
    """How many of the held-out codes find their parent; arguments as for `parent_is_nearest`."""
    hit = parent_is_nearest(points, tree, held_out, curvature)
    rows = np.array([tree.position[code] for code in held_out])
    children = np.bincount(tree.parent[tree.parent >= 0], minlength=len(tree.codes))
    siblings = children[tree.parent[rows]] > 1
    return HeldOutMetrics(
        codes=len(rows),
        parent_at_1=float(hit.mean()),
        with_siblings=int(siblings.sum()),
        parent_at_1_with_siblings=float(hit[siblings].mean()),
    )


def parent_is_nearest(
    points: Tensor, tree: Tree, held_out: Sequence[str], curvature: float
) -> NDArray[np.bool_]:
    """Whether the nearest to each held-out code, among all codes one level up, is its parent: (k,).

    Args:
        points: (n, d+1) of all codes, wherever they come from.
        tree: over the n codes.
        held_out: the k codes never trained on.
        curvature: c > 0.
    """
    distance = lorentz.pairwise_distance(points, points, curvature).numpy()
    hit = np.zeros(len(tree.codes), dtype=bool)
    # In the order of `parent_hits`: depth by depth.
    below = np.concatenate([np.flatnonzero(tree.depth == depth) for depth in range(2, 6)])
    hit[below] = parent_hits(distance, tree)
    return hit[[tree.position[code] for code in held_out]]


@torch.no_grad()
def placed(space: CodeSpace, data: ContrastData, whole: Taxonomy, encoder: TextEncoder) -> Tensor:
    """(n, d+1) points of all codes of `whole`; the ones training knew with their residuals."""
    texts = ChannelTexts.of(whole)
    channel = torch.from_numpy(texts.channel)
    inputs = TextInputs.of(texts.texts, encoder, data.vocabulary)
    vectors = space.reader(inputs, channel).cpu()
    channels = ChannelFeatures(texts, vectors, unit=space.reader.hidden_size)
    text = space.text_map(*(part.to(space.device) for part in channels.full()))
    known = torch.tensor([texts.position[code] for code in data.tree.codes])
    residual = space.residual.new_zeros(len(texts.codes), space.residual.shape[1])
    residual[known] = space.known_residual()
    return lorentz.expmap0(space.placed(text, residual), space.curvature).cpu()
