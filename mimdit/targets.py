"""The closed vocabularies of the product: targets, precisions, units, degradations, variants."""

from typing import Literal, get_args

Target = Literal["onnx", "coreml", "executorch", "tensorrt", "openvino", "litert", "coreai"]
Precision = Literal["fp32", "fp16", "bf16", "w8", "w8a8", "p6"]
Unit = Literal["cpu", "gpu", "ane", "npu", "dla"]
Degradation = Literal["noise", "sensor", "blur", "haze", "rain", "lowlight", "jpeg"]
Variant = Literal["denoise", "deblur", "dehaze", "derain", "lowlight", "dejpeg", "general"]

TARGETS: tuple[Target, ...] = get_args(Target)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
DEGRADATIONS: tuple[Degradation, ...] = get_args(Degradation)
VARIANTS: tuple[Variant, ...] = get_args(Variant)

# Which degradations a variant is frozen for. `general` is frozen for all of them and for mixtures.
VARIANT_DEGRADATIONS: dict[Variant, tuple[Degradation, ...]] = {
    "denoise": ("noise", "sensor"),
    "deblur": ("blur",),
    "dehaze": ("haze",),
    "derain": ("rain",),
    "lowlight": ("lowlight",),
    "dejpeg": ("jpeg",),
    "general": DEGRADATIONS,
}

# Variants that set a photo's light, which a tile cannot see: their tiles are held to the whole photo, restored once in
# reduced form. To the others that does harm, because a reduced photo shows noise, blur, streaks and blocks as something
# else: noise that was cut at black and white leaves a false mean behind, which only full size tells how to undo.
SETS_LIGHT: frozenset[Variant] = frozenset({"dehaze", "lowlight", "general"})

# What the dispatcher scores, in the order of its output: one degradation family per single variant.
DISPATCHER_CLASSES: tuple[Variant, ...] = ("denoise", "deblur", "dehaze", "derain", "lowlight", "dejpeg")
