"""A run file made of whole cloth: for tests of everything that reads one."""

from collections.abc import Mapping, Sequence

from mimdit.benchmarks.device import Device
from mimdit.benchmarks.run_file import (
    Conditions,
    Energy,
    ImageResult,
    Key,
    Latency,
    Memory,
    Provenance,
    Result,
    Run,
    Samples,
    Size,
)

PSNR = {("noise", "a"): 30.0, ("noise", "b"): 28.0, ("haze", "c"): 22.5}
PROCESSOR, SETS = "Test CPU", ("avx2",)


def a_run(
    psnr: Mapping[tuple[str, str], float] = PSNR,
    seconds: Sequence[float] = tuple(0.1 + 0.001 * (i % 7) for i in range(64)),
    bundle: str = "ab" * 8,
) -> Run:
    """psnr: (degradation, image) → dB; seconds: graph times."""
    key = Key(
        bundle=bundle,
        variant="matched",
        target="onnx",
        precision="fp32",
        unit="cpu",
        tile=256,
        threads=2,
        processor=PROCESSOR,
        instruction_set=SETS,
    )
    images = tuple(
        ImageResult(
            degradation=degradation,
            dataset="made",
            image=image,
            megapixels=0.15,
            used="general",
            input_psnr=20.0,
            psnr=value,
            seconds=(0.6,),
        )
        for (degradation, image), value in psnr.items()
    )
    latency = Latency(
        variant="general",
        graph=Samples.of(seconds, [0.1 * i for i in range(len(seconds))]),
        warmup=(0.2, 0.12),
        steady=True,
        first_inference=0.3,
        cold_load=0.5,
        cache_dropped=True,
        warm_load=0.2,
        interleaved_with=(),
        timer=1e-7,
    )
    energy = Energy(meter="rapl", reason="this system has no powercap counters")
    return Run(
        device=Device(system="Linux 6", architecture="x86_64", processor=PROCESSOR, cores=2, instruction_set=SETS),
        conditions=Conditions(
            affinity=(0, 1),
            governor=None,
            power_mode=None,
            temperature_before={},
            temperature_after={},
            load_before=0.1,
        ),
        provenance=Provenance(
            mimdit="0.1.0",
            commit=None,
            command="mimdit bench",
            created="2026-01-01T00:00:00+00:00",
            versions={"python": "3.11.0"},
            seed=0,
        ),
        results=(
            Result(
                name="made.mimdit",
                key=key,
                size=Size(bundle_bytes=1000, files={"model.onnx": 1000}),
                images=images,
                latency=latency,
                memory=Memory(peak_bytes=100_000_000, megapixels=0.15),
                energy=(energy,),
            ),
        ),
    )
