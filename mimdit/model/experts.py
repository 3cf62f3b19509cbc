"""The four expert groups of a MiM block, three sub-experts in each.

Every sub-expert maps f32[B,C,h,w] → f32[B,C,h,w] and ends in a linear 1×1 or 3×3 convolution called `out`, so that a
frozen routing weight folds into it exactly. The members of a group differ in reach: kernel, heads, window, squeeze.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mimdit.routing.plan import Group

KERNELS = (3, 5, 7)  # spatial attention: kernel of the attention map
HEADS = (2, 4, 8)  # channel attention: heads
WINDOWS = (4, 8, 8)  # Swin: window side on the latent grid (32 and 64 px of the photo)
SQUEEZES = (2, 4, 8)  # squeeze-and-excitation: reduction


class SpatialAttention(nn.Module):
    """Convolve, then weigh every place by a map made of the channels' mean and maximum (CBAM, 1807.06521)."""

    def __init__(self, channels: int, hidden: int, kernel: int):
        super().__init__()
        self.proj = nn.Conv2d(channels, hidden, 3, padding=1)
        self.attend = nn.Conv2d(2, 1, kernel, padding=kernel // 2)
        self.out = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:  # [B,C,h,w]
        x = F.relu(self.proj(x))  # [B,H,h,w]
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)  # [B,2,h,w]
        return self.out(x * torch.sigmoid(self.attend(pooled)))


class SqueezeExcitation(nn.Module):
    """Convolve, then weigh every channel by its mean over the tile (1709.01507)."""

    def __init__(self, channels: int, hidden: int, squeeze: int):
        super().__init__()
        self.proj = nn.Conv2d(channels, hidden, 3, padding=1)
        self.squeeze = nn.Conv2d(hidden, hidden // squeeze, 1)
        self.excite = nn.Conv2d(hidden // squeeze, hidden, 1)
        self.out = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:  # [B,C,h,w]
        x = F.relu(self.proj(x))  # [B,H,h,w]
        pooled = x.mean((2, 3), keepdim=True)  # [B,H,1,1]
        return self.out(x * torch.sigmoid(self.excite(F.relu(self.squeeze(pooled)))))


class ChannelAttention(nn.Module):
    """Attention between channels, over all places at once (transposed attention of Restormer, 2111.09881)."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:  # [B,C,h,w]
        b, c, h, w = x.shape
        q, k, v = self.qkv(x).reshape(b, 3, self.heads, c // self.heads, h * w).unbind(1)  # [B,heads,c,h·w]
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        attention = (q @ k.transpose(-2, -1) * self.temperature).softmax(-1)  # [B,heads,c,c]
        return self.out((attention @ v).reshape(b, c, h, w))


class SwinAttention(nn.Module):
    """Attention inside windows, shifted by half a window where asked (Swin, 2103.14030)."""

    HEADS = 4

    def __init__(self, channels: int, window: int, shifted: bool):
        super().__init__()
        self.window, self.shift = window, window // 2 if shifted else 0
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.bias = nn.Parameter(torch.zeros(self.HEADS, (2 * window - 1) ** 2))
        self.out = nn.Conv2d(channels, channels, 1)
        place = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
        offset = place[:, :, None] - place[:, None, :] + window - 1  # [2,n,n]
        self.register_buffer("offset", offset[0] * (2 * window - 1) + offset[1], persistent=False)  # [n,n]

    def forward(self, x: Tensor) -> Tensor:  # [B,C,h,w]
        b, _, h, w = x.shape
        n, rows, columns = self.window, h // self.window, w // self.window
        if h % n or w % n:
            raise ValueError(f"the latent is {h}×{w}: both sides must be multiples of the Swin window {n}")
        qkv = self.qkv(x)
        if self.shift:
            qkv = torch.roll(qkv, (-self.shift, -self.shift), (2, 3))
        q, k, v = self._to_windows(qkv).chunk(3, 1)  # [B·windows,heads,c,n²]
        bias = self.bias[:, self.offset].unsqueeze(0)  # pyright: ignore[reportArgumentType]  [1,heads,n²,n²]
        if self.shift:
            bias = (bias + self._mask(h, w, x)).repeat(b, 1, 1, 1)  # [B·windows,heads,n²,n²]
        # Places stay innermost and the products transpose: up to 30 % faster than moving them before and after.
        scores = (q * q.shape[2] ** -0.5).transpose(-2, -1) @ k + bias.to(q.dtype)
        x = self._from_windows(v @ scores.softmax(-1).transpose(-2, -1), rows, columns)
        if self.shift:
            x = torch.roll(x, (self.shift, self.shift), (2, 3))
        return self.out(x)

    # Two permutations of five axes each where one of eight would do: Core ML stops at five axes, XNNPACK at six.

    def _to_windows(self, x: Tensor) -> Tensor:
        """q, k and v beside each other f32[B,3C,h,w] → f32[B·windows,3·heads,C/heads,n²]"""
        b, c, h, w = x.shape
        n, heads = self.window, 3 * self.HEADS
        x = x.reshape(b * c, h // n, n, w // n, n).transpose(2, 3)  # [B·3C,rows,columns,n,n]
        x = x.reshape(b, heads, c // heads, -1, n * n).permute(0, 3, 1, 2, 4)  # [B,windows,3·heads,c,n²]
        return x.flatten(0, 1)

    def _from_windows(self, x: Tensor, rows: int, columns: int) -> Tensor:
        """f32[B·windows,heads,C/heads,n²] → f32[B,C,h,w]"""
        n = self.window
        x = x.unflatten(0, (-1, rows * columns)).permute(0, 2, 3, 1, 4)  # [B,heads,c,windows,n²]
        b, heads, c = x.shape[:3]
        x = x.reshape(b * heads * c, rows, columns, n, n).transpose(2, 3)  # [B·C,rows,n,columns,n]
        return x.reshape(b, heads * c, rows * n, columns * n)

    def _mask(self, h: int, w: int, like: Tensor) -> Tensor:
        """Places that the roll brought together from opposite borders must not see each other: −100 there."""
        n, shift = self.window, self.shift

        def region(size: int) -> Tensor:
            index = torch.arange(size, device=like.device)
            return (index >= size - n).long() + (index >= size - shift).long()

        rows, columns = region(h).reshape(-1, 1, n, 1), region(w).reshape(1, -1, 1, n)
        label = (rows * 3 + columns).reshape(-1, n * n)  # [windows,n²]
        return torch.where(label[:, :, None] == label[:, None, :], 0.0, -100.0).unsqueeze(1)


def make_expert(group: Group, index: int, channels: int, hidden: int, shifted: bool) -> nn.Module:
    """Sub-expert `index` (0, 1, 2, …: reaches repeat after three) of a group."""
    reach = index % 3
    if group == "spatial":
        return SpatialAttention(channels, hidden, KERNELS[reach])
    if group == "channel":
        return ChannelAttention(channels, HEADS[reach])
    if group == "swin":
        return SwinAttention(channels, WINDOWS[reach], shifted)
    return SqueezeExcitation(channels, hidden, SQUEEZES[reach])
