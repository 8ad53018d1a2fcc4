"""The Euclidean index vectors order as the Lorentz distance does."""

from __future__ import annotations

import pytest
import torch

from naics_graph.errors import DataError
from naics_graph.geometry import lorentz
from tests.geometry.reference import CURVATURES, tangents


def random_points(n: int, dims: int, c: float, seed: int, top: float = 5.0) -> torch.Tensor:
    radii = torch.rand(n, generator=torch.Generator().manual_seed(seed)) * top
    return lorentz.expmap0(tangents(radii.tolist(), dims, seed), c)


@pytest.mark.parametrize("c", CURVATURES)
@pytest.mark.parametrize(("dims", "width"), [(2, 66), (16, 66), (64, 66), (64, 130)])
def test_cosine_order_is_lorentz_order(c: float, dims: int, width: int) -> None:
    # A radius of 5 at c = 10 spans cosines closer than float64 tells apart.
    top = min(5.0, 5.0 / c**0.5)
    points, queries = random_points(400, dims, c, 0, top), random_points(20, dims, c, 1, top)
    stored, asked = lorentz.knn_vectors(points, width), lorentz.knn_query(queries, width)
    assert stored.shape == (400, width)
    assert asked.shape == (20, width)
    cosine = torch.nn.functional.cosine_similarity(asked[:, None], stored[None], dim=-1)
    true = lorentz.pairwise_distance(queries, points, c).argsort(dim=1)
    assert torch.equal(cosine.argsort(dim=1, descending=True), true)


def test_all_index_vectors_have_one_length() -> None:
    points = random_points(50, 5, 2.0, 0)
    lengths = lorentz.knn_vectors(points, 66).norm(dim=1)
    largest = points.norm(dim=1).max()
    torch.testing.assert_close(lengths, largest.expand(50), rtol=1e-14, atol=0)


def test_padding_changes_no_product() -> None:
    points = random_points(30, 8, 1.0, 0)
    tight = lorentz.knn_query(points, 10) @ lorentz.knn_vectors(points, 10).T
    padded = lorentz.knn_query(points, 66) @ lorentz.knn_vectors(points, 66).T
    torch.testing.assert_close(padded, tight, rtol=1e-14, atol=1e-12)
    assert lorentz.knn_vectors(points, 66)[:, 10:].abs().max() == 0


def test_the_index_product_is_the_lorentz_product() -> None:
    points = random_points(5, 3, 1.0, 0)
    found = lorentz.knn_query(points[0], 66) @ lorentz.knn_vectors(points, 66).T
    torch.testing.assert_close(found, lorentz.inner(points[0].expand_as(points), points))


@pytest.mark.parametrize("function", [lorentz.knn_vectors, lorentz.knn_query])
def test_too_many_dimensions_are_refused(function: object) -> None:
    fits = random_points(2, lorentz.KNN_WIDTH - 2, 1.0, 0)
    wide = random_points(2, lorentz.KNN_WIDTH - 1, 1.0, 0)
    assert callable(function)
    assert function(fits).shape == (2, lorentz.KNN_WIDTH)
    with pytest.raises(DataError, match=f"{lorentz.KNN_WIDTH - 1} dimensions"):
        function(wide)
