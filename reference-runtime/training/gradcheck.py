"""Checks the gradients of the expert layer against finite differences, and its output against a plain loop."""

from __future__ import annotations

import torch
from torch.nn import functional

from model import SortedExperts


def main() -> None:
    """Fails with an exception when a gradient or an output is wrong."""
    torch.manual_seed(3)
    tokens, width, inner, experts = 7, 5, 4, 4
    x = torch.randn(tokens, width, dtype=torch.double, requires_grad=True)
    gate_up = torch.randn(experts, 2 * inner, width, dtype=torch.double, requires_grad=True)
    down = torch.randn(experts, width, inner, dtype=torch.double, requires_grad=True)
    chosen = torch.stack([torch.randperm(experts - 1)[:2] for _ in range(tokens)])  # the last expert gets no token
    weight = torch.rand(tokens, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda *inputs: SortedExperts.apply(inputs[0], inputs[1], inputs[2], chosen, inputs[3]),
        (x, gate_up, down, weight),
    )
    expected = torch.zeros(tokens, width, dtype=torch.double)
    for token in range(tokens):
        for slot in range(2):
            expert = int(chosen[token, slot])
            gate, up = (gate_up[expert] @ x[token]).chunk(2)
            expected[token] += weight[token, slot] * (down[expert] @ (functional.silu(gate) * up))
    torch.testing.assert_close(SortedExperts.apply(x, gate_up, down, chosen, weight), expected)
    print("gradcheck: gradients and outputs of SortedExperts are right")


if __name__ == "__main__":
    main()
