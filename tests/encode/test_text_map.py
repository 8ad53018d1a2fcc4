"""The map of texts: masks, bounds, the freedom of the radius, and that it learns."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from naics_graph.config import load_mapping
from naics_graph.encode.channels import query_features
from naics_graph.encode.mixture import MixtureConfig
from naics_graph.encode.text_map import TextMap, TextMapConfig, drop_channels
from naics_graph.errors import ConfigError
from naics_graph.geometry import lorentz

FEATURES = 24
SMALL = TextMapConfig(dim=5, width=32, mixture=MixtureConfig(hidden=32))


def map_of(config: TextMapConfig = SMALL, seed: int = 0) -> TextMap:
    torch.manual_seed(seed)
    return TextMap(config, FEATURES).eval()


def items(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Unit vectors in random channels, at least one each."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(count, 4, FEATURES, generator=generator)
    mask = torch.rand(count, 4, generator=generator) < 0.5
    mask[torch.arange(count), torch.randint(0, 4, (count,), generator=generator)] = True
    return torch.nn.functional.normalize(vectors, dim=2), mask


def test_shapes_and_types() -> None:
    output = map_of()(*items(7))
    assert output.tangent.shape == output.unbounded.shape == (7, 5)
    assert output.tangent.dtype == output.unbounded.dtype == torch.float64
    assert output.fused.shape == (7, 32)
    assert output.routing.shape == output.router_logits.shape == (7, 4)
    chosen = output.routing.argsort(dim=1)[:, 2:]
    assert output.counts.tolist() == chosen.flatten().bincount(minlength=4).tolist()


def test_items_without_a_channel_are_in_no_figure_of_the_router() -> None:
    vectors, mask = items(7)
    mask[2] = False
    output = map_of()(vectors, mask)
    assert output.present.tolist() == [i != 2 for i in range(7)]
    assert int(output.counts.sum()) == 6 * 2
    assert output.tangent[2].tolist() == [0.0] * 5


def test_what_a_masked_channel_holds_is_never_read() -> None:
    vectors, mask = items(20)
    text_map = map_of()
    expected = text_map(vectors, mask)
    for junk in (1e6, float("nan"), float("inf")):
        poisoned = torch.where(mask.unsqueeze(-1), vectors, torch.tensor(junk))
        output = text_map(poisoned, mask)
        torch.testing.assert_close(output.tangent, expected.tangent, rtol=0, atol=0)


def test_gradients_through_masked_junk_are_finite() -> None:
    vectors, mask = items(20)
    mask[0] = False
    text_map = map_of().train()
    poisoned = torch.where(mask.unsqueeze(-1), vectors, torch.tensor(float("nan")))
    text_map(poisoned, mask).tangent.square().sum().backward()
    for name, parameter in text_map.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_each_channel_is_read_in_its_own_way() -> None:
    vector = items(1)[0][:, 0]
    images = torch.cat(
        [map_of()(*query_features(vector, torch.tensor([c]))).tangent for c in range(4)]
    )
    distance = torch.cdist(images, images) + torch.eye(4)
    assert distance.min() > 0.1


def test_a_row_without_texts_is_the_origin() -> None:
    vectors, mask = items(6)
    mask[[1, 4]] = False
    text_map = map_of()
    torch.nn.init.ones_(text_map.head.bias)
    output = text_map(vectors, mask)
    assert not output.tangent[[1, 4]].any()
    assert not output.fused[[1, 4]].any()
    assert output.tangent.isfinite().all()
    assert (output.tangent.norm(dim=1)[[0, 2, 3, 5]] > 0.01).all()


def test_an_image_does_not_depend_on_the_other_items() -> None:
    vectors, mask = items(12)
    together = map_of()(vectors, mask).tangent
    alone = torch.cat([map_of()(vectors[i : i + 1], mask[i : i + 1]).tangent for i in range(12)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def test_no_items() -> None:
    assert map_of()(torch.zeros(0, 4, FEATURES), torch.zeros(0, 4).bool()).tangent.shape == (0, 5)


@pytest.mark.parametrize("dim", [2, 16, 64])
@pytest.mark.parametrize("width", [64, 512])
def test_untrained_images_lie_at_moderate_radii(dim: int, width: int) -> None:
    config = TextMapConfig(dim=dim, width=width, mixture=MixtureConfig(hidden=64))
    for which in (items(200), query_features(items(200)[0][:, 0], torch.full((200,), 2))):
        radius = map_of(config)(*which).tangent.detach().norm(dim=1)
        assert 0.7 < float(radius.mean()) < 2.5


def test_radii_stay_below_the_bound_and_the_bound_is_the_geometrys() -> None:
    text_map = map_of()
    with torch.no_grad():
        text_map.head.weight.mul_(1e3)
    output = text_map(*items(50))
    assert output.unbounded.norm(dim=1).min() > 50
    assert output.tangent.norm(dim=1).max() <= SMALL.max_radius * (1 + 1e-12)
    torch.testing.assert_close(
        output.tangent, lorentz.bound_radius(output.unbounded, SMALL.max_radius)
    )


def test_the_radius_is_free() -> None:
    """Equal directions at radii from 0.5 to 5 can be learned: no norm holds the radius."""
    vectors, mask = items(40)
    direction = torch.zeros(40, 5, dtype=torch.float64)
    direction[:, 0] = 1.0
    target = direction * torch.linspace(0.5, 5.0, 40, dtype=torch.float64)[:, None]
    text_map = map_of()
    optimiser = torch.optim.AdamW(text_map.parameters(), lr=4e-3)
    for _ in range(150):
        loss = (text_map(vectors, mask).tangent - target).square().sum(dim=1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.05


def test_dropout_acts_in_training_only() -> None:
    vectors, mask = items(20)
    text_map = map_of(dataclasses.replace(SMALL, dropout=0.5))
    assert torch.equal(text_map(vectors, mask).tangent, text_map(vectors, mask).tangent)
    text_map.train()
    assert not torch.equal(text_map(vectors, mask).tangent, text_map(vectors, mask).tangent)


def test_channel_dropout_keeps_one_and_adds_none() -> None:
    _, mask = items(4000)
    mask[0] = False
    kept = drop_channels(mask, 0.3, torch.Generator().manual_seed(0))
    assert not (kept & ~mask).any()
    assert torch.equal(kept.any(dim=1), mask.any(dim=1))
    single = mask.sum(dim=1) == 1
    assert torch.equal(kept[single], mask[single])
    full = mask.sum(dim=1) == 4
    # The rows that would lose all four keep all four: .3 - .3^4 of the channels go.
    assert float((~kept[full]).double().mean()) == pytest.approx(0.3 - 0.3**4, abs=0.05)


@pytest.mark.parametrize(
    "values", [{"dim": 0}, {"max_radius": 0.0}, {"dropout": 1.0}, {"channel_dropout": -0.1}]
)
def test_shapes_and_rates_no_map_can_have_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        load_mapping(TextMapConfig, values)
