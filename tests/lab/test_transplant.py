"""Which weights a smaller network takes over from the model that it starts from."""

import torch

from psd_lab.training.transplant import pruned


def layer(number, strengths):
    """A layer whose hidden unit u has gate, up and down weights of `strengths[u]`; its norm holds
    the layer's number.
    """
    size = torch.tensor(strengths, dtype=torch.float32)
    rows = size[:, None].expand(-1, 2)
    name = f"model.layers.{number}."
    return {
        f"{name}input_layernorm.weight": torch.full((2,), float(number)),
        f"{name}mlp.gate_proj.weight": rows,
        f"{name}mlp.up_proj.weight": rows,
        f"{name}mlp.down_proj.weight": rows.T,
    }


def test_strongest_units_stay_in_their_order_and_layers_at_even_distances():
    strengths = [[1, 3, 2], [0, 0, 0], [5, 5, 5], [0, 0, 0], [2, 1, 3]]
    weights = {"model.norm.weight": torch.ones(2)}
    for number, values in enumerate(strengths):
        weights |= layer(number, values)
    small = pruned(weights, layers=3, ffn=2)
    assert [small[f"model.layers.{n}.input_layernorm.weight"][0].item() for n in range(3)] == [
        0,
        2,
        4,
    ]
    # Units 1 and 2 of the first layer, the first two of equal ones, units 0 and 2 of the last.
    for n, units in enumerate([[3, 2], [5, 5], [2, 3]]):
        assert small[f"model.layers.{n}.mlp.gate_proj.weight"][:, 0].tolist() == units
        assert small[f"model.layers.{n}.mlp.up_proj.weight"][:, 1].tolist() == units
        assert small[f"model.layers.{n}.mlp.down_proj.weight"].tolist() == [units, units]
    assert len(small) == 1 + 3 * 4
    assert small["model.norm.weight"] is weights["model.norm.weight"]


def test_nothing_changes_when_nothing_is_smaller():
    weights = layer(0, [1, 2]) | layer(1, [3, 4])
    same = pruned(weights, layers=2, ffn=2)
    assert same.keys() == weights.keys()
    assert all(same[name] is weights[name] for name in weights)


def test_layers_beyond_those_of_the_start_are_not_invented():
    weights = layer(0, [1, 2])
    assert pruned(weights, layers=4, ffn=8).keys() == weights.keys()
