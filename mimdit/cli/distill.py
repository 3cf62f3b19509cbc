"""`mimdit distill`."""

import typer

from mimdit.cli.train import ConfigOption, OutOption, PhotosOption, WayOption
from mimdit.errors import CheckpointError

__all__ = ["distill"]


def distill(config: ConfigOption, photos: PhotosOption, out: OutOption, way: WayOption = None) -> None:
    """Distill a reference into a student of one, two or four steps.

    In the config `start` is the model that the student begins from, `reference` the model whose trajectory leads it,
    `sampling_steps` the student's steps, `reference_steps` those of the trajectory. The loss is the distance to the
    true photo, in pixels, beside the distance to the reference's latent, which fades over `trajectory_steps`:
    regression keeps PSNR, the trajectory only shows the way.

    The same command goes on with a run that was killed. The result is OUT/model, printed on stdout; `mimdit freeze`
    makes variants of it.
    """
    from mimdit.train.config import TrainConfig
    from mimdit.train.loop import train

    stage = TrainConfig.read(config)
    if stage.objective != "distill":
        raise CheckpointError(f'{config}: expected objective "distill", found "{stage.objective}": use  mimdit train')
    typer.echo(train(stage, photos, out, way=way))
