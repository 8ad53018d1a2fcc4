"""The processes of one training: shards, gathers with gradient, sums, and who is told what."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from naics_graph import distributed
from naics_graph.distributed import World
from naics_graph.errors import PeerLostError, UsageError
from tests.processes import run_processes

LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
SIZES = (1, 2, 4)
ROWS = 5


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LAUNCHED:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 7, 2125])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_shards_partition_the_rows_evenly(count: int, size: int) -> None:
    shards = [range(count)[World(rank=r, size=size).shard(count)] for r in range(size)]
    assert [row for shard in shards for row in shard] == list(range(count))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_one_process_is_all_identity() -> None:
    weight = nn.Parameter(torch.ones(2))
    with distributed.start() as world:
        assert world == World()
        assert world.gather_rows(weight) is weight
        assert world.broadcast("said") == "said"
        assert world.on_main(lambda: 3) == 3
        world.sum(torch.zeros(1))
        world.reduce_gradients([weight])
        assert world.sum(torch.ones(1)).item() == 1
        assert world.max(torch.ones(1)).item() == 1
        assert world.gather("said") == ["said"]
    assert not torch.distributed.is_initialized()


def weights() -> Tensor:
    return torch.linspace(-1.0, 2.0, ROWS * 3, dtype=torch.float64).reshape(ROWS, 3)


def energy(rows: Tensor, others: Tensor) -> Tensor:
    """A loss of the pairs of some rows and all rows, summed over the former."""
    return ((rows[:, None] - others[None]).square().sum(-1) + 1).log().sum()


def gathered(world: World) -> tuple[NDArray[np.float64], ...]:
    """Rows as every process sees them, the loss, and the gradient of the own rows."""
    own = weights()[world.shard(ROWS)].clone().requires_grad_()
    everything = world.gather_rows(own.sin())
    share = energy(everything[world.shard(ROWS)], everything)
    share.backward()  # type: ignore[no-untyped-call]
    assert own.grad is not None
    return everything.detach().numpy(), world.sum(share).numpy(), own.grad.numpy()


@pytest.mark.parametrize("size", SIZES)
def test_a_gather_of_uneven_shards_has_the_gradient_of_one_process(size: int) -> None:
    whole = weights().requires_grad_()
    loss = energy(whole.sin(), whole.sin())
    loss.backward()  # type: ignore[no-untyped-call]
    results = run_processes(gathered, size)
    for everything, total, _ in results:
        assert np.array_equal(everything, whole.detach().sin())
        assert total == pytest.approx(float(loss.detach()), rel=1e-12)
    assert whole.grad is not None
    gradients = np.concatenate([gradient for *_, gradient in results])
    assert np.allclose(gradients, whole.grad, rtol=1e-12, atol=1e-12)


def reduced(world: World) -> list[NDArray[np.float64] | None]:
    """Gradients after the sum: of both types, missing in some, missing in all."""
    generator = torch.Generator().manual_seed(world.rank)
    single, double, once, never = (
        nn.Parameter(torch.zeros(shape, dtype=dtype))
        for shape, dtype in (
            ((2, 3), torch.float32),
            ((4,), torch.float64),
            ((2,), torch.float32),
            ((2,), torch.float32),
        )
    )
    single.grad = torch.randn(2, 3, generator=generator)
    double.grad = torch.randn(4, dtype=torch.float64, generator=generator)
    if world.rank == 1:
        once.grad = torch.tensor([1.0, 2.0])
    parameters = [single, double, once, never]
    world.reduce_gradients(parameters)
    return [None if p.grad is None else p.grad.double().numpy() for p in parameters]


def test_gradients_are_summed_whatever_their_kind() -> None:
    size = 4
    results = run_processes(reduced, size)
    single = torch.zeros(2, 3)
    double = torch.zeros(4, dtype=torch.float64)
    for rank in range(size):
        generator = torch.Generator().manual_seed(rank)
        single += torch.randn(2, 3, generator=generator)
        double += torch.randn(4, dtype=torch.float64, generator=generator)
    for result in results:
        assert result[3] is None
        expected = [single, double, torch.tensor([1.0, 2.0]), None]
        for seen, wanted in zip(result, expected, strict=True):
            if wanted is not None:
                assert seen is not None
                assert np.allclose(seen, wanted, rtol=1e-6)


def greatest(world: World) -> tuple[list[str], list[float]]:
    values = torch.tensor([float(world.rank), -float(world.rank)], dtype=torch.float64)
    kept = values.clone()
    found = world.max(values).tolist()
    assert torch.equal(values, kept)
    return world.gather(f"rank {world.rank}"), found


@pytest.mark.parametrize("size", SIZES)
def test_every_process_knows_what_each_has_and_the_greatest(size: int) -> None:
    ranks = [f"rank {rank}" for rank in range(size)]
    assert run_processes(greatest, size) == [(ranks, [size - 1.0, 0.0])] * size


def told(world: World) -> tuple[object, object]:
    threads = torch.get_num_threads()
    made = world.on_main(lambda: (world.rank, torch.get_num_threads()))
    assert torch.get_num_threads() == threads
    return world.broadcast({"from": world.rank} if world.is_main else None), made


def test_rank_0_tells_the_others() -> None:
    threads = min(distributed.cores(), 2)
    assert run_processes(told, 2) == [({"from": 0}, (0, threads))] * 2


def left_alone(world: World) -> str:
    if world.rank:
        return "leaves"
    try:
        world.sum(torch.ones(1))
    except PeerLostError as error:
        return error.saw
    return "nothing was noticed"


def test_a_process_that_ends_is_noticed_by_the_others() -> None:
    noticed, _ = run_processes(left_alone, 2)
    assert "another process" in noticed


def test_more_gpus_than_visible_are_refused_with_their_number() -> None:
    visible = torch.cuda.device_count()
    with pytest.raises(UsageError, match=rf"{visible} (is|are) visible") as caught:
        distributed.require_gpus(visible + 1)
    assert caught.value.exit_code == 2


def test_torchruns_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(LAUNCHED, ("0", "1", "0", "1"), strict=True):
        monkeypatch.setenv(name, value)
    with distributed.start("cpu") as world:
        assert world == World(0, 1, 0, 1)
