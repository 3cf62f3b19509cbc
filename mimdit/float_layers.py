"""Layers that stay in float where others have 8 bits: for quantizers, and for training that prepares for them."""

__all__ = ["ALWAYS_FLOAT", "READS_A_CONSTANT"]

# The two ends, where numbers are pixels: 2 % of the arithmetic. What an 8-bit scale rounds there is seen as it is. And
# what gives the light that the photo is multiplied by: 6 channels at an eighth of the size, a sixth of what haze loses.
ALWAYS_FLOAT = ("codec.encoder.stem", "codec.decoder.residual", "codec.gates.light")

# Reads the seed noise, which is a constant: quantizers take it for a weight, or stumble.
READS_A_CONSTANT = "backbone.pos_embed.proj"
