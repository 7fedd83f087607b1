"""Flags that several commands share, and what they name."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from twinloop.cli.argument_types import Pairs, fraction, part_file
from twinloop.cli.settings_from_flags import add_setting, settings_from
from twinloop.domain.choices import (
    BASE_PREDICTIONS,
    COMPILES,
    DEVICES,
    OFFLOADS,
    PRECISIONS,
    SUBJECTS,
    TIMESTEP_SPACINGS,
)
from twinloop.domain.quantised import QUANTIZATIONS
from twinloop.errors import InputError
from twinloop.store.vault.folder import COMMON_CATALOG

if TYPE_CHECKING:
    from twinloop.cli.terminal import Terminal
    from twinloop.config import Settings
    from twinloop.ports import DetectorPack
    from twinloop.store.run.catalog import Catalog

CATALOG = COMMON_CATALOG


def add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="take what no flag gives from this bootstrap_config.json"
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """A run by its folder or by its configuration; `run_folder` tells which."""
    parser.add_argument(
        "folder", type=Path, nargs="?", metavar="RUN", help="folder of the run (output_dir), as in outputs/bootstrap"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="the run of this bootstrap_config.json, instead of RUN"
    )


def run_folder(args: argparse.Namespace) -> Path:
    """The folder of the run that is meant.

    Raises:
        InputError: neither or both of folder and configuration were given. ConfigError: mistakes in the configuration.
    """
    if (args.folder is None) == (args.config is None):
        raise InputError("Which run? Name its folder (output_dir), or give --config bootstrap_config.json.")
    return Path(args.folder or settings_from(args, {}).output_dir)


def add_models_dir(parser: argparse.ArgumentParser) -> None:
    add_setting(
        parser,
        "--models-dir",
        metavar="DIR",
        help=(
            "folder of detector files, PACK:FOLDER to use only one pack of it (yolo, onnx, mediapipe), or the word"
            " 'nano' for the embedded ones, which know only the demo's people (default: models)"
        ),
    )


def add_subject(parser: argparse.ArgumentParser) -> None:
    add_setting(
        parser,
        "--subject",
        choices=SUBJECTS,
        help=(
            "character = drawn: expression and eyes, which detectors made for photos cannot read on drawings, are left"
            " out (default: person)"
        ),
    )


def add_keep_all(parser: argparse.ArgumentParser, *names: str) -> None:
    add_setting(
        parser,
        "--keep-all",
        *names,
        section="analysis",
        action="store_true",
        default=None,
        help="count every readable image, also those without a face, blurred ones, duplicates and other people",
    )


def add_facets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--facet", action="append", metavar="FILE", help="Python file with a facet of your own; may be given again"
    )


def add_catalog(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--catalog",
        type=Path,
        metavar="FILE",
        help=f"cache of what was observed (default: {CATALOG}, or the run's own with --config)",
    )


def add_device(parser: argparse.ArgumentParser, fetched: str = "the base model") -> None:
    """Where to compute, and whether what it takes may be fetched. ``fetched``: what that is."""
    add = partial(add_setting, parser)
    add("--device", choices=DEVICES, help="where to compute (default: auto)")
    add(
        "--allow-download",
        action="store_true",
        default=None,
        help=f"allow fetching {fetched} from the Hugging Face hub when it is not on this machine (default: never)",
    )


def add_steps_and_guidance(parser: argparse.ArgumentParser) -> None:
    """How far and how hard images are drawn towards their prompts."""
    add = partial(add_setting, parser, section="generation")
    add("--steps", field="num_inference_steps", type=int, metavar="N", help="denoising steps (default: the preset's)")
    add("--guidance", field="guidance_scale", type=float, metavar="X", help="guidance scale (default: the preset's)")
    add(
        "--guidance-rescale",
        type=fraction,
        metavar="X",
        help="tone down pictures that come out too bright and hard, as v-prediction bases do; 0-1 (default: 0, off)",
    )


def add_negative_prompt(parser: argparse.ArgumentParser) -> None:
    add_setting(
        parser,
        "--negative-prompt",
        section="generation",
        metavar="TEXT",
        help="used instead of the built-in negative prompt",
    )


def add_image_size(parser: argparse.ArgumentParser) -> None:
    """How large the images are, and how many are drawn at a time."""
    add = partial(add_setting, parser, section="generation")
    add("--width", type=int, metavar="PX", help="width of the images (default: the preset's)")
    add("--height", type=int, metavar="PX", help="height of the images (default: the preset's)")
    add("--batch-size", type=int, metavar="N", help="images drawn at once (default: the preset's)")


def add_sampler(parser: argparse.ArgumentParser) -> None:
    """What draws, and the preset that says the rest."""
    add = partial(add_setting, parser, section="generation")
    add("--scheduler", metavar="NAME", help="sampler, such as euler or dpmpp_2m (default: the base model's own)")
    add(
        "--timestep-spacing",
        choices=TIMESTEP_SPACINGS,
        help="how the sampler spreads its steps; trailing for Lightning and Hyper (default: the base model's own)",
    )
    add_setting(
        parser,
        "--preset",
        section="training",
        metavar="NAME",
        help="sdxl, flux, zimage... (docs/families.md; default: by the base model)",
    )


def add_offload(parser: argparse.ArgumentParser) -> None:
    add_setting(
        parser,
        "--offload",
        section="generation",
        choices=OFFLOADS,
        help="with a GPU: which parts of the base model wait in main memory; saves memory, costs time (default: none)",
    )


def add_computing(parser: argparse.ArgumentParser) -> None:
    """How the base model computes and what it is, for commands that load one."""
    add = partial(add_setting, parser)
    add(
        "--precision",
        choices=PRECISIONS,
        help="number format of the base model (default: auto, the fastest that the device computes well)",
    )
    add(
        "--quantization",
        choices=QUANTIZATIONS,
        help=(
            "weights of the base model in fewer bits: int8 or fp8 halve them, nf4 quarters them (default: as they are)"
        ),
    )
    add(
        "--compile",
        choices=COMPILES,
        help=(
            "torch.compile for the blocks that the base model repeats (default: on a CUDA GPU, where the work is long"
            " enough)"
        ),
    )
    add(
        "--base-prediction",
        choices=BASE_PREDICTIONS,
        help="what the base model predicts, noise (epsilon) or v, where its file does not say (default: epsilon)",
    )
    add(
        "--zero-terminal-snr",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="whether its last noise step holds no signal, as in most bases that predict v (default: as its file says)",
    )
    add(
        "--clip-skip",
        type=int,
        metavar="N",
        help=(
            "the layer of SD 1.5's text encoder that prompts and captions are read from, counted from the end as in"
            " A1111 (default: 1, the last)"
        ),
    )
    add(
        "--base-part",
        field="base_parts",
        type=part_file,
        action=Pairs,
        metavar="NAME=FILE",
        help=(
            "take this .safetensors file as the base model's vae, text_encoder, text_encoder_2 or text_encoder_3"
            " (ComfyUI's files: docs/families.md); may be given again"
        ),
    )


def dataset_name(args: argparse.Namespace) -> str:
    """What a person is called after the photos that ``--dataset`` names, without a suffix: a record of a run may stand
    there.

    Raises:
        InputError: neither photos nor a configuration were named.
    """
    if args.dataset is None and args.config is None:
        raise InputError("Which photos? Name them: --dataset DIR, or give --config bootstrap_config.json.")
    return Path(args.dataset or ".").resolve().stem or "person"


def check_outside(output: Path, dataset_dir: str) -> None:
    """What is made from a dataset's photos must not lie among them: it would be taken for photos the next time.

    Raises:
        InputError: ``output`` is the dataset's folder, or lies in it.
    """
    place, photos = output.resolve(), Path(dataset_dir).resolve()
    if photos.is_dir() and photos in (place, *place.parents):
        raise InputError(
            f"--output {output} lies in the folder of the photos, {dataset_dir}, and would be taken for photos of the"
            " person later. Name a place outside of it."
        )


def say_detectors(pack: DetectorPack, terminal: Terminal) -> None:
    """What the chosen detectors measure and what they do not, once the input is known to be good; the files are in
    ``twinloop doctor``.
    """
    if pack.brief:
        terminal.line(pack.brief)


def open_catalog(args: argparse.Namespace, settings: Settings, terminal: Terminal) -> Catalog:
    """The cache of observations: as asked, the run's own, or the common one; where that cannot be written, memory."""
    from twinloop.errors import StateError, StorageError
    from twinloop.store.run.catalog import Catalog

    if args.catalog is not None:
        return Catalog(args.catalog)
    path = Path(settings.output_dir) / "catalog.sqlite" if args.config else CATALOG
    try:
        return Catalog(path)
    except (StateError, StorageError) as error:
        terminal.warn(f"going on without a cache: {error}")
        return Catalog(None)
