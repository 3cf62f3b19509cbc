"""The command `mimdit`: a group whose commands are imported when one is run, not when they are listed.

Exit codes: 0 done · 1 done, but something failed · 2 bad input, usage or environment · 3 inconclusive.
Data goes to stdout, words to stderr.
"""

import importlib
import sys
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from mimdit.errors import MimditError, MissingPackageError

__all__ = ["COMMANDS", "main"]


class CommandLine(NamedTuple):
    """One line of the command table."""

    function: str  # "module:name"
    help: str  # the first line of its docstring
    extra: str | None = None  # what brings the packages that the base install lacks


# Stated here so that `mimdit --help` imports none of the modules; a test compares the lines with the docstrings.
COMMANDS = {
    "demo": CommandLine(
        "mimdit.cli.demo:demo",
        "Restore the shipped example photos and write a before/after page.",
    ),
    "restore": CommandLine(
        "mimdit.cli.restore:restore",
        "Restore photos: remove noise, blur, haze, rain, darkness, JPEG artefacts.",
    ),
    "explain": CommandLine(
        "mimdit.cli.explain:explain",
        "Explain a restored photo: what was done to it, by which bundle, and whether that holds.",
    ),
    "inspect": CommandLine(
        "mimdit.cli.inspect:inspect",
        "Look at a photo without restoring it: what the dispatcher sees, what can be measured, what to do.",
    ),
    "info": CommandLine(
        "mimdit.cli.info:info",
        "Show what a bundle holds, how it was built and what it reaches.",
    ),
    "verify": CommandLine(
        "mimdit.cli.verify:verify",
        "Check a bundle: schema, files, sizes, hashes, weights, experts.",
    ),
    "train": CommandLine(
        "mimdit.cli.train:train",
        "Train one stage of a model: codec, reference or student.",
        extra="train",
    ),
    "distill": CommandLine(
        "mimdit.cli.distill:distill",
        "Distill a reference into a student of one, two or four steps.",
        extra="train",
    ),
    "train-dispatcher": CommandLine(
        "mimdit.cli.train_dispatcher:train_dispatcher",
        "Train the dispatcher, the small network that looks at a photo and names its variant.",
        extra="train",
    ),
    "freeze": CommandLine(
        "mimdit.cli.freeze:freeze",
        "Freeze a student's routing into static variants and fine-tune their experts.",
        extra="train",
    ),
    "build": CommandLine(
        "mimdit.cli.build:build",
        "Export frozen variants into a bundle, after checking each file against its PyTorch graph.",
        extra="onnx",
    ),
    "fit": CommandLine(
        "mimdit.cli.fit:fit",
        "Find the best build of a variant within limits of size, time and loss, or say which limit forbids it.",
        extra="onnx",
    ),
    "quantize sensitivity": CommandLine(
        "mimdit.cli.sensitivity:sensitivity",
        "Measure what each layer loses when it alone is quantized: the ranking that `mimdit build --max-drop` goes by.",
        extra="onnx",
    ),
    "quantize weights": CommandLine(
        "mimdit.cli.quantize_weights:weights",
        "Store an ONNX file's weights in 8 bits, however large it is: memory is needed for some rows of one of them.",
        extra="onnx",
    ),
    "targets": CommandLine(
        "mimdit.cli.targets:targets",
        "Show which targets can be built for and run here, and the line that installs what is missing.",
    ),
    "gate": CommandLine(
        "mimdit.cli.gate:gate",
        "Hold a bundle to an earlier one, and stop what got worse.",
    ),
    "baseline": CommandLine(
        "mimdit.cli.baseline:baseline",
        "Accept a run as the baseline that `mimdit gate` holds later ones to.",
    ),
    "bisect": CommandLine(
        "mimdit.cli.bisect:bisect",
        "Find what made a bundle worse: weights, plan, calibration, precision or converter.",
        extra="onnx",
    ),
    "evaluate": CommandLine(
        "mimdit.cli.evaluate:evaluate",
        "Measure what a model restores: PSNR, SSIM and FLIP per degradation and per photo.",
        extra="bench",
    ),
    "bench": CommandLine(
        "mimdit.cli.bench:bench",
        "Measure bundles on this device, or on another: latency, restored photos, memory, energy.",
    ),
    "compare": CommandLine(
        "mimdit.cli.compare:compare",
        "Print what differs between two runs, and nothing else.",
    ),
    "convert": CommandLine(
        "mimdit.cli.convert:convert",
        "Write a run file in another tool's format.",
    ),
    "golden record": CommandLine(
        "mimdit.cli.golden:record",
        "Record what the reference makes of the example photos, and how fast.",
        extra="train",
    ),
    "golden compare": CommandLine(
        "mimdit.cli.golden:compare",
        "Hold a bundle to a golden: dB lost per degradation, times the latency, MB.",
    ),
    "routing diff": CommandLine(
        "mimdit.cli.routing_diff:diff",
        "Show two routing plans side by side, and what they cost in dB, MB and ms.",
    ),
    "routing regret": CommandLine(
        "mimdit.cli.routing_regret:regret",
        "Tell what dynamic routing would have gained over a frozen variant, and whether another variant fits better.",
        extra="train",
    ),
}


class _LazyGroup(TyperGroup):
    """Lists stand-ins, runs the real thing, and turns an error of ours into one line and its exit code."""

    def __init__(self, **settings: Any):
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, help=line.help) for name, line in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        args = _two_words_as_one(ctx, args)
        name, stand_in, rest = super().resolve_command(ctx, args)  # an unknown name ends here, with a suggestion
        return name, stand_in and _import_command(args[0]), rest

    def invoke(self, ctx: Any) -> Any:
        try:
            try:
                return super().invoke(ctx)
            except ModuleNotFoundError as error:
                package, extra = (error.name or "").partition(".")[0], COMMANDS[ctx.invoked_subcommand].extra
                if extra is None or package == "mimdit":
                    raise
                raise MissingPackageError(package, extra) from error
        except MimditError as error:
            if ctx.params["debug"]:
                raise
            typer.echo(f"mimdit: {error}", err=True)
            ctx.exit(error.exit_code)


def _two_words_as_one(ctx: Any, args: list[str]) -> list[str]:
    """`golden record …` is the one command "golden record"."""
    seconds = [name.partition(" ")[2] for name in COMMANDS if name.startswith(f"{args[0]} ")]
    if not seconds:
        return args
    if not args[1:] or args[1] not in seconds:
        ctx.fail(f"expected `{args[0]}` to be followed by {' or '.join(seconds)}")
    return [f"{args[0]} {args[1]}", *args[2:]]


def _import_command(name: str) -> Any:
    module, function = COMMANDS[name].function.split(":")
    app = typer.Typer(add_completion=False)
    app.command(name)(getattr(importlib.import_module(module), function))
    return typer.main.get_command(app)


_app = typer.Typer(cls=_LazyGroup, add_completion=False, no_args_is_help=True)


@_app.callback()
def _group(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """MiM-DiT on devices: restore photos with a diffusion transformer in a small, torch-free bundle."""


def main() -> None:
    """The entry point."""
    typer.main.get_command(_app)(sys.argv[1:], prog_name="mimdit")
