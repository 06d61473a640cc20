"""The Mixtral architecture in PyTorch, small enough to train on one CPU core.

Pre-norm decoder: RMSNorm, grouped-query attention with rotary embeddings (interleaved pairs, as llama.cpp's ``llama``
architecture wants them), and a sparse mixture of SwiGLU experts: softmax over all router logits, the best two experts,
weights renormalised (Jiang et al., "Mixtral of Experts", 2024). Input and output embeddings are tied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """Sizes of the model; the defaults are mixtral-micro."""

    vocabulary: int = 2048
    width: int = 192
    layers: int = 4
    heads: int = 6
    kv_heads: int = 2
    experts: int = 8
    experts_used: int = 2
    expert_width: int = 256
    context: int = 512
    rope_base: float = 10_000.0
    norm_eps: float = 1e-5

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.width // self.heads


class SortedExperts(torch.autograd.Function):
    """Applies to each token its chosen experts and sums them by weight.

    Token-slots are sorted by expert, so that each expert is a few dense matrix products into preallocated memory.
    Inputs: ``x`` (tokens, width), ``gate_up`` (experts, 2 * expert_width, width), ``down`` (experts, width,
    expert_width), ``chosen`` (tokens, k) int64, ``weight`` (tokens, k). Output: (tokens, width).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, gate_up: Tensor, down: Tensor, chosen: Tensor, weight: Tensor) -> Tensor:
        slots = chosen.shape[1]
        order = torch.argsort(chosen.reshape(-1), stable=True)
        ends = torch.bincount(chosen.reshape(-1), minlength=gate_up.shape[0]).cumsum(0).tolist()
        token = order // slots
        inputs = x.index_select(0, token)
        hidden = x.new_empty(inputs.shape[0], gate_up.shape[1])
        start = 0
        for expert, end in enumerate(ends):
            torch.mm(inputs[start:end], gate_up[expert].t(), out=hidden[start:end])
            start = end
        gate, up = hidden.chunk(2, dim=1)
        active = functional.silu(gate) * up
        outputs = torch.empty_like(inputs)
        start = 0
        for expert, end in enumerate(ends):
            torch.mm(active[start:end], down[expert].t(), out=outputs[start:end])
            start = end
        share = weight.reshape(-1).index_select(0, order).unsqueeze(1)
        ctx.save_for_backward(inputs, hidden, active, outputs, gate_up, down, order, token, share)
        ctx.ends = ends
        ctx.weight_shape = weight.shape
        return torch.zeros_like(x).index_add_(0, token, outputs * share)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        inputs, hidden, active, outputs, gate_up, down, order, token, share = ctx.saved_tensors
        grad = grads[0].index_select(0, token)
        grad_weight = inputs.new_empty(order.shape[0])
        grad_weight[order] = (grad * outputs).sum(1)
        grad = grad * share
        grad_active = torch.empty_like(active)
        grad_down = torch.empty_like(down)
        start = 0
        for expert, end in enumerate(ctx.ends):
            torch.mm(grad[start:end], down[expert], out=grad_active[start:end])
            torch.mm(grad[start:end].t(), active[start:end], out=grad_down[expert])
            start = end
        gate, up = hidden.chunk(2, dim=1)
        sigmoid = torch.sigmoid(gate)
        silu = gate * sigmoid
        grad_gate = grad_active * up * (sigmoid + silu * (1 - sigmoid))
        grad_hidden = torch.cat((grad_gate, grad_active * silu), dim=1)
        grad_inputs = torch.empty_like(inputs)
        grad_gate_up = torch.empty_like(gate_up)
        start = 0
        for expert, end in enumerate(ctx.ends):
            torch.mm(grad_hidden[start:end], gate_up[expert], out=grad_inputs[start:end])
            torch.mm(grad_hidden[start:end].t(), inputs[start:end], out=grad_gate_up[expert])
            start = end
        grad_x = torch.zeros_like(grads[0]).index_add_(0, token, grad_inputs)
        return grad_x, grad_gate_up, grad_down, None, grad_weight.view(ctx.weight_shape)


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary embedding of interleaved pairs; ``x`` is (batch, heads, length, head_width)."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cosine - odd * sine, even * sine + odd * cosine), dim=-1).flatten(-2)


class Attention(nn.Module):
    """Causal grouped-query attention."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        inner = shape.kv_heads * shape.head_width
        self.query = nn.Linear(shape.width, shape.width, bias=False)
        self.key = nn.Linear(shape.width, inner, bias=False)
        self.value = nn.Linear(shape.width, inner, bias=False)
        self.output = nn.Linear(shape.width, shape.width, bias=False)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """``x`` is (batch, length, width)."""
        batch, length, width = x.shape
        head = self.shape.head_width
        query = self.query(x).view(batch, length, -1, head).transpose(1, 2)
        key = self.key(x).view(batch, length, -1, head).transpose(1, 2)
        value = self.value(x).view(batch, length, -1, head).transpose(1, 2)
        group = self.shape.heads // self.shape.kv_heads
        key = rotate(key, cosine, sine).repeat_interleave(group, dim=1)
        value = value.repeat_interleave(group, dim=1)
        mixed = functional.scaled_dot_product_attention(rotate(query, cosine, sine), key, value, is_causal=True)
        return self.output(mixed.transpose(1, 2).reshape(batch, length, width))


class Experts(nn.Module):
    """Router and experts of one layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.used = shape.experts_used
        self.router = nn.Linear(shape.width, shape.experts, bias=False)
        self.gate_up = nn.Parameter(torch.empty(shape.experts, 2 * shape.expert_width, shape.width))
        self.down = nn.Parameter(torch.empty(shape.experts, shape.width, shape.expert_width))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the layer's output and, for all tokens, router logits (tokens, experts) and the chosen experts."""
        flat = x.reshape(-1, x.shape[-1])
        logits = self.router(flat)
        best, chosen = logits.topk(self.used, dim=-1)
        out = SortedExperts.apply(flat, self.gate_up, self.down, chosen, best.softmax(dim=-1))
        return out.view_as(x), logits, chosen


class Layer(nn.Module):
    """One decoder layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(shape.width, eps=shape.norm_eps)
        self.attention = Attention(shape)
        self.experts_norm = nn.RMSNorm(shape.width, eps=shape.norm_eps)
        self.experts = Experts(shape)


class Mixtral(nn.Module):
    """The whole model."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=shape.norm_eps)
        frequency = shape.rope_base ** (-torch.arange(0, shape.head_width, 2).double() / shape.head_width)
        angle = torch.outer(torch.arange(shape.context).double(), frequency)
        self.register_buffer("cosine", angle.cos().float(), persistent=False)
        self.register_buffer("sine", angle.sin().float(), persistent=False)
        self.initialise()

    def initialise(self) -> None:
        """Normal weights, standard deviation 0.02; what writes to the residual stream is scaled by depth."""
        residual = 0.02 / (2 * self.shape.layers) ** 0.5
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                small = name.endswith(("attention.output.weight", "experts.down"))
                nn.init.normal_(parameter, std=residual if small else 0.02)

    def forward(self, tokens: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """``tokens`` (batch, length) to logits (batch, length, vocabulary), router logits and choices per layer."""
        x = self.embedding(tokens)
        cosine, sine = self.cosine[: tokens.shape[1]], self.sine[: tokens.shape[1]]
        routers: list[Tensor] = []
        choices: list[Tensor] = []
        for layer in self.layers:
            x = x + layer.attention(layer.attention_norm(x), cosine, sine)
            out, router, chosen = layer.experts(layer.experts_norm(x))
            x = x + out
            routers.append(router)
            choices.append(chosen)
        return functional.linear(self.norm(x), self.embedding.weight), routers, choices


def load_balance(logits: Tensor, chosen: Tensor) -> Tensor:
    """Switch Transformer loss (Fedus et al. 2021, eq. 4): experts * sum of share of slots * mean probability."""
    experts = logits.shape[-1]
    share = torch.bincount(chosen.reshape(-1), minlength=experts).to(logits.dtype) / chosen.numel()
    return experts * (share * logits.softmax(dim=-1).mean(0)).sum()


def router_z(logits: Tensor) -> Tensor:
    """Router z-loss (Zoph et al. 2022): mean squared log-partition, keeps logits small."""
    return logits.logsumexp(dim=-1).square().mean()


def mutual_information(logits: Tensor, segments: int) -> Tensor:
    """Information (nats) between segment and expert; the batch is equal contiguous parts, one per segment."""
    by_segment = logits.softmax(dim=-1).view(segments, -1, logits.shape[-1]).mean(1)
    mean = by_segment.mean(0)
    return (by_segment * (by_segment.log() - mean.log())).sum(1).mean()
