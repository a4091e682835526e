"""The encoder as a network that can be trained, cut down to the vocabulary that Chinese needs, and its export."""

import json
from pathlib import Path

import numpy as np
import torch
from pretrained import Pretrained
from torch import nn
from torch.nn import functional

LONGEST = 130
DROP = 0.1
PAD = 1
_SPECIAL = 4
_SPACE = "\u2581"
_POINTS = _SPACE + "，。？！、：；“”…"
_EPS = 1e-12


class Layer(nn.Module):
    """One layer: attention, then two linear maps, each added to what came in."""

    def __init__(self, size: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.inner, self.outer = nn.Linear(size, inner), nn.Linear(inner, size)
        self.norm1, self.norm2 = nn.LayerNorm(size, eps=_EPS), nn.LayerNorm(size, eps=_EPS)
        self.drop = nn.Dropout(DROP)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """x: (texts, pieces, size); mask: added to the attention's scores."""
        texts, pieces, size = x.shape
        split = self.qkv(x).view(texts, pieces, 3, self.heads, size // self.heads).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(
            split[0], split[1], split[2], attn_mask=mask, dropout_p=DROP if self.training else 0.0
        )
        x = self.norm1(x + self.drop(self.out(seen.transpose(1, 2).reshape(texts, pieces, size))))
        return self.norm2(x + self.drop(self.outer(functional.gelu(self.inner(x)))))


class Net(nn.Module):
    """Ids of pieces in, the mean of the last layer's states out: (texts, size)."""

    def __init__(self, source: Pretrained) -> None:
        super().__init__()
        kept = kept_pieces(source)
        self.pieces = [source.pieces[at] for at in kept]
        self.word = nn.Embedding(len(kept), source.size)
        self.pos = nn.Embedding(LONGEST, source.size)
        self.norm = nn.LayerNorm(source.size, eps=_EPS)
        self.drop = nn.Dropout(DROP)
        layers = (Layer(source.size, source.heads, source.inner) for _ in range(source.layers))
        self.layers = nn.ModuleList(layers)
        self._take(source, kept)

    def _take(self, source: Pretrained, kept: list[int]) -> None:
        size = source.size
        self.word.weight.data = torch.tensor(source.packed("emb.word", size)[kept])
        places = source.plain("emb.pos").reshape(-1, size)[:LONGEST] + source.plain("emb.type")[:size]
        self.pos.weight.data = torch.tensor(places)
        _fill(self.norm, source.plain("emb.ln.w"), source.plain("emb.ln.b"))
        for at, layer in enumerate(self.layers):
            name = f"l{at}."
            qkv = np.concatenate([source.packed(f"{name}{part}.w", size) for part in "qkv"])
            _fill(layer.qkv, qkv, np.concatenate([source.plain(f"{name}{part}.b") for part in "qkv"]))
            for part, key, columns in (
                ("out", "ao", size),
                ("inner", "fi", size),
                ("outer", "fo", source.inner),
            ):
                _fill(
                    getattr(layer, part),
                    source.packed(f"{name}{key}.w", columns),
                    source.plain(f"{name}{key}.b"),
                )
            _fill(layer.norm1, source.plain(f"{name}aln.w"), source.plain(f"{name}aln.b"))
            _fill(layer.norm2, source.plain(f"{name}oln.w"), source.plain(f"{name}oln.b"))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """ids: int64, (texts, pieces), padded with 1."""
        known = ids != PAD
        x = self.drop(self.norm(self.word(ids) + self.pos.weight[None, : ids.shape[1]]))
        mask = torch.where(known[:, None, None, :], 0.0, -1e9).to(x.dtype)
        for layer in self.layers:
            x = layer(x, mask)
        weight = known[..., None].to(x.dtype)
        return (x * weight).sum(1) / weight.sum(1)


def _fill(part: nn.Module, weight: np.ndarray, bias: np.ndarray) -> None:
    part.weight.data, part.bias.data = torch.tensor(weight), torch.tensor(bias)


def kept_pieces(source: Pretrained) -> list[int]:
    """The places of the pieces that Chinese needs: 17,000 of 250,000."""

    def wanted(piece: str) -> bool:
        word = piece.removeprefix(_SPACE)
        if word and all("\u4e00" <= char <= "\u9fff" for char in word):
            return True
        return len(piece) == 1 and (ord(piece) < 127 or piece in _POINTS)

    return [at for at, (piece, _) in enumerate(source.pieces) if at < _SPECIAL or wanted(piece)]


def export(net: Net, folder: Path) -> Path:
    """Writes encoder.onnx, weights in eight bits, and pieces.json; returns the model's path."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    folder.mkdir(parents=True, exist_ok=True)
    whole, ready, out = folder / "whole.onnx", folder / "ready.onnx", folder / "encoder.onnx"
    net.eval()
    torch.onnx.export(
        net, (torch.randint(_SPECIAL, 99, (2, 7)),), str(whole), input_names=["ids"], output_names=["vector"],
        dynamic_axes={"ids": {0: "texts", 1: "pieces"}, "vector": {0: "texts"}}, opset_version=17, dynamo=False,
    )  # fmt: skip
    quant_pre_process(str(whole), str(ready), skip_symbolic_shape=True)
    kinds = ["MatMul", "Gather"]
    quantize_dynamic(
        str(ready), str(out), weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=kinds
    )
    whole.unlink()
    ready.unlink()
    pieces = json.dumps(net.pieces, ensure_ascii=False, separators=(",", ":"))
    (folder / "pieces.json").write_text(pieces, "utf-8")
    return out
