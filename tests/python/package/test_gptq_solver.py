# SPDX-License-Identifier: Apache-2.0
"""The algorithm against its formulas, and the packing against a reader written apart."""

import importlib

import numpy as np
import pytest
import torch

ROWS, COLUMNS = 96, 256


@pytest.fixture(scope="module")
def gptq(qstore):
    """The modules of qstore.gptq by name."""

    class Modules:
        def __getattr__(self, name):
            return importlib.import_module(f"qstore.gptq.{name}")

    return Modules()


def weights(seed=1):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(ROWS, COLUMNS, generator=generator) * 0.02).to(torch.bfloat16)


def correlated_hessian(gptq, seed=3):
    hessian = gptq.solver.Hessian(COLUMNS)
    hessian.add(gptq.calibration.correlated_inputs(COLUMNS, seed))
    return hessian.matrix


def run(gptq, weight, hessian, scheme):
    return gptq.solver.quantize_matrix(weight, gptq.solver.factorize(hessian, scheme), scheme)


def schemes(gptq):
    make = gptq.options.Scheme
    for bits in (2, 3, 4, 8):
        yield make(bits, group_size=64)
    yield make(4, group_size=-1)
    yield make(4, group_size=100, symmetric=False)
    yield make(4, group_size=32, act_order=True)
    yield make(4, group_size=32, act_order=True, static_groups=True)
    yield make(3, group_size=128, symmetric=False, act_order=True)


def nearest(gptq, weight, scheme):
    """Every weight to its nearest integer, by the grid of its own group."""
    size = COLUMNS if scheme.group_size == -1 else scheme.group_size
    columns = []
    for group in weight.float().T.split(size):
        grid = gptq.grid.find_grid(group, scheme)
        columns.append(gptq.grid.round_to(group, grid, scheme.largest))
    return torch.cat(columns).to(torch.uint8)


def relative_error(weight, other, hessian):
    """|W X - Q X| / |W X| of inputs whose second moments are `hessian`."""
    weight, other, hessian = weight.double(), other.double(), hessian.double()
    difference = weight - other
    return (
        ((difference @ hessian) * difference).sum() / ((weight @ hessian) * weight).sum()
    ).sqrt()


def test_hessian_is_the_second_moment_whatever_the_batches(gptq):
    inputs = torch.randn(50, COLUMNS, generator=torch.Generator().manual_seed(0))
    hessian = gptq.solver.Hessian(COLUMNS)
    for batch in (inputs[:7], inputs[7:30].view(1, 23, COLUMNS), inputs[30:]):
        hessian.add(batch)
    expected = inputs.double().T @ inputs.double() / 50
    torch.testing.assert_close(hessian.matrix.double(), expected, rtol=1e-5, atol=1e-5)


def test_independent_inputs_make_it_rounding_to_nearest(gptq):
    weight = weights()
    diagonal = torch.diag(torch.linspace(1, 3, COLUMNS))
    for scheme in schemes(gptq):
        if scheme.act_order and not scheme.static_groups:
            continue  # Its groups are others.
        result = run(gptq, weight, diagonal, scheme)
        assert torch.equal(result.integers, nearest(gptq, weight, scheme)), scheme


def test_correlated_inputs_make_it_better_than_nearest(gptq):
    weight = weights()
    hessian = correlated_hessian(gptq)
    for scheme in schemes(gptq):
        result = run(gptq, weight, hessian, scheme)
        error = relative_error(weight, result.weights(), hessian)
        independent = run(gptq, weight, torch.eye(COLUMNS), scheme)
        assert not torch.equal(result.integers, independent.integers)
        assert error < 0.9 * relative_error(weight, independent.weights(), hessian), scheme


def test_reported_error_is_that_of_the_damped_hessian(gptq):
    weight = weights()
    hessian = correlated_hessian(gptq)
    for scheme in schemes(gptq):
        result = run(gptq, weight, hessian, scheme)
        damped = hessian + scheme.damp * hessian.diagonal().mean() * torch.eye(COLUMNS)
        expected = relative_error(weight, result.weights(), damped)
        assert result.error == pytest.approx(expected.item(), rel=2e-3), scheme


def test_last_step_minimizes_what_is_left(gptq):
    """With one channel left to choose freely, its value solves the least squares problem."""
    weight = weights()
    hessian = correlated_hessian(gptq)
    scheme = gptq.options.Scheme(8, group_size=-1, damp=1e-6)
    result = run(gptq, weight, hessian, scheme).weights().double()
    difference = (weight.double() - result)[:, :-1]
    best = weight.double()[:, -1] + difference @ hessian.double()[:-1, -1] / hessian[-1, -1].item()
    step = result.abs().amax(1) * 2 / 255
    assert ((result[:, -1] - best).abs() <= 0.75 * step).float().mean() > 0.9


@pytest.mark.parametrize("symmetric", [True, False])
def test_grids_span_the_weights_with_scales_that_f16_holds(gptq, symmetric):
    scheme = gptq.options.Scheme(4, symmetric=symmetric)
    group = torch.tensor([[-1.0, 0.5, 0.0, -3.0], [2.0, 0.25, 0.0, -1.0]])
    grid = gptq.grid.find_grid(group, scheme)
    assert torch.equal(grid.scale, grid.scale.half().float())
    assert (grid.scale > 0).all() and ((grid.zero >= 1) & (grid.zero <= 15)).all()
    integers = gptq.grid.round_to(group, grid, 15)
    assert ((integers >= 0) & (integers <= 15)).all()
    # The largest positive weight of a symmetric grid lies half a step beyond it.
    reach = (0.5 if symmetric else 1.0) * grid.scale + 1e-3
    assert ((gptq.grid.value_of(integers, grid) - group).abs() <= reach).all()
    assert torch.equal(grid.zero, torch.full((4,), 8.0)) == symmetric


def test_act_order_gives_groups_by_falling_activity(gptq):
    diagonal = torch.rand(COLUMNS, generator=torch.Generator().manual_seed(5)) + 0.5
    scheme = gptq.options.Scheme(4, group_size=32, act_order=True)
    index = run(gptq, weights(), torch.diag(diagonal), scheme).group_index
    order = torch.argsort(diagonal, descending=True, stable=True)
    assert torch.equal(index[order], torch.arange(COLUMNS, dtype=torch.int32) // 32)
    fixed = gptq.options.Scheme(4, group_size=32, act_order=True, static_groups=True)
    index = run(gptq, weights(), torch.diag(diagonal), fixed).group_index
    assert torch.equal(index, torch.arange(COLUMNS, dtype=torch.int32) // 32)


def test_channels_never_active_become_zero(gptq):
    hessian = correlated_hessian(gptq)
    hessian[:, 40] = hessian[40, :] = 0
    result = run(gptq, weights(), hessian, gptq.options.Scheme(4))
    assert (result.weights()[:, 40] == 0).all()


def test_inputs_that_no_damping_mends_are_refused(gptq, qstore):
    bad = torch.eye(COLUMNS)
    bad[3, 3] = torch.inf
    with pytest.raises(qstore.InvalidArgumentError, match="not finite"):
        run(gptq, weights(), bad, gptq.options.Scheme(4))
    bad[3, 3] = -1e4
    with pytest.raises(qstore.InvalidArgumentError, match="positive definite"):
        run(gptq, weights(), bad, gptq.options.Scheme(4))


def unpack_apart(words, bits):
    """The integers along the rows of int32 words, one bit after the other."""
    stream = words.astype("<u4").T.copy().view(np.uint8)
    each = np.unpackbits(stream, axis=1, bitorder="little")
    each = each.reshape(words.shape[1], -1, bits)
    return (each * (1 << np.arange(bits))).sum(2).T


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_packing_is_one_stream_of_bits(gptq, bits):
    generator = torch.Generator().manual_seed(bits)
    integers = torch.randint(0, 2**bits, (96, 64), generator=generator).to(torch.uint8)
    packed = gptq.packing.pack_rows(integers, bits)
    assert packed.dtype == torch.int32 and packed.shape == (96 * bits // 32, 64)
    assert np.array_equal(unpack_apart(packed.numpy(), bits), integers.numpy())
    assert torch.equal(gptq.packing.unpack_rows(packed, bits), integers)
    zeros = integers.clamp(min=1)
    stored = gptq.packing.pack_zeros(zeros, bits)
    assert stored.shape == (96, 64 * bits // 32)
    assert np.array_equal(unpack_apart(stored.numpy().T, bits).T + 1, zeros.numpy())
    assert torch.equal(gptq.packing.unpack_zeros(stored, bits), zeros)


def test_packing_refuses_rows_that_fill_no_word(gptq, qstore):
    with pytest.raises(qstore.InvalidArgumentError, match="multiple of 32"):
        gptq.packing.pack_rows(torch.zeros(40, 8, dtype=torch.uint8), 3)
