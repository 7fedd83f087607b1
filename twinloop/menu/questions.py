"""Questions that several workflows ask."""

from __future__ import annotations

from pathlib import Path

from twinloop.domain.choices import NANO, SDXL
from twinloop.domain.model_roles import files_hint
from twinloop.domain.names import folded, normal, problem_of
from twinloop.errors import InputError, TwinLoopError
from twinloop.menu.director import Check, Option
from twinloop.menu.session import Session
from twinloop.stages.caption_style import preset_of_name, style_of_preset
from twinloop.store.models.lora_file import header_texts
from twinloop.store.pictures.dataset_folders import told_trigger
from twinloop.store.pictures.images import find_images
from twinloop.store.vault.folder import DEFAULT, Vault


def not_empty(text: str) -> str:
    """A check: Enter alone is no answer (as a path it would mean the working directory)."""
    return "" if text else "needs an answer"


def existing(text: str) -> str:
    """A check: a file or folder is there."""
    return not_empty(text) or ("" if Path(text).expanduser().exists() else "nothing is there")


def existing_file(text: str) -> str:
    return not_empty(text) or ("" if Path(text).expanduser().is_file() else "there is no such file")


def existing_folder(text: str) -> str:
    return not_empty(text) or ("" if Path(text).expanduser().is_dir() else "there is no such folder")


def models_folder(text: str) -> str:
    """A check: the same, and how such a folder comes about."""
    found = existing_folder(text)
    return f"{found}. {files_hint(text)}" if found and text else found


def folder_of_pictures(text: str) -> str:
    """A check: the folder is there, and it or one below it holds pictures."""
    if problem := existing_folder(text):
        return problem
    try:
        return "" if find_images(Path(text).expanduser()) else "there are no pictures in it, nor in folders below"
    except InputError as error:
        return str(error)


def models(session: Session) -> str:
    """The detectors: a folder of model files, or the embedded ones."""
    kind = session.choose(
        "models.kind", "Which detectors?",
        [
            Option("folder", "a folder of model files", "for real photos"),
            Option(NANO, "the embedded ones", "for pictures of the embedded world only"),
        ],
        "folder",
    )  # fmt: skip
    if kind == NANO:
        return NANO
    return session.path("models.folder", "Folder with the detector files:", "models", models_folder)


def base_model(session: Session) -> str:
    """The base model that the LoRA is for."""
    kind = session.choose(
        "base.kind", "Which base model?",
        [
            Option("local", "a local file or folder", ".safetensors, or a diffusers folder"),
            Option("hub", "a model of the local hub cache", "a name, as on the hub"),
            Option(NANO, "the embedded one", "for the embedded world; needs no GPU"),
        ],
        "local",
    )  # fmt: skip
    if kind == NANO:
        return NANO
    if kind == "hub":
        return session.text("base.hub", "Its name:", SDXL, not_empty)
    return session.path("base.path", "File or folder:", "", existing)


def caption_style(base: str, preset: str = "") -> str:
    """The captions, ``tags`` or ``prose``, that go with a preset; without one, those that the base model reads as far
    as its name tells.
    """
    return style_of_preset(preset) or preset_of_name(base)[1]


def preset_of(base: str) -> str:
    """The preset that a base model's name tells; "" = none."""
    return preset_of_name(base)[0]


def about(key: str, name: str) -> str:
    """The key of an answer about one person: it is not offered for another."""
    return f"{key} of {folded(name)}"


def dataset(session: Session, name: str = "") -> str:
    """The folder with the photos of one person; the one of the vault, where it is known who it is."""
    key, default = (about("dataset", name), str(Vault(DEFAULT).person(name))) if name else ("dataset", "")
    return session.path(key, "Folder with the person's photos:", default, folder_of_pictures)


def person_name(session: Session) -> str:
    return normal(session.text("person.name", "Name of the person (for folders and files):", "alice", _folder_name))


def trigger(session: Session, name: str) -> str:
    return session.text(
        about("person.trigger", name),
        "Trigger words that will stand for the person in prompts:",
        f"ohwx {name}",
        not_empty,
    )


def known_trigger(session: Session, source: str) -> str:
    """The trigger words that belong to a LoRA file or to a folder of photos: those that it names itself, else what was
    answered for it.
    """
    named = _trigger_in(Path(source))
    return session.text(
        f"trigger for {source}", "Trigger words:", named or "ohwx person", not_empty, offer_last=not named
    )


def _trigger_in(source: Path) -> str:
    """What a LoRA's header or a prepared folder says; "" where it says nothing."""
    try:
        if source.is_dir():
            return told_trigger(source) or ""
        return header_texts(source).get("modelspec.trigger_phrase", "")
    except TwinLoopError:
        return ""  # the command that is given the file says what is wrong with it


def configuration_to_write(session: Session, name: str, check: Check, other: str = "") -> str:
    """The file of a person's configuration. ``other``: the name to offer instead of the last one or the usual."""
    usual = other or f"bootstrap_config_{name.replace(' ', '_')}.json"
    key = configuration_key(name)
    return session.new_path(key, "Configuration to write:", usual, check, offer_last=not other)


def configuration_key(name: str) -> str:
    """Of the answer to `configuration_to_write`."""
    return about("config.new", name)


def write_configuration(
    session: Session, path: str, *, name: str, trigger: str, base: str, models: str, photos: str
) -> None:
    """``twinloop init`` with what was answered; without a trigger it takes that of the prepared photos."""
    named = ["--person-trigger", trigger] if trigger else []
    places = ["--base-model", base, "--models-dir", models, "--dataset-dir", photos]
    session.run("Write the configuration", ["init", "--person-name", name, *named, *places, "--output", path])


def _folder_name(text: str) -> str:
    return "letters, digits, spaces, dots, - and _" if problem_of(normal(text)) else ""


def configuration(session: Session) -> str:
    """A bootstrap_config.json: one that lies here, or the path of another."""
    found = sorted(str(path) for path in Path().glob("*config*.json"))
    if not found:
        return session.path("config.path", "Configuration (bootstrap_config.json):", "", existing_file)
    options = [*(Option(name, name) for name in found), Option("", "another file")]
    chosen = session.choose("config.choice", "Which configuration?", options, found[0])
    return chosen or session.path("config.path", "Configuration:", "", existing_file)


def training_cost(session: Session, config: str) -> str:
    """What a training takes, as the doctor reckons it."""
    session.director.say("\nReckoning what the training takes...")
    found = session.ask(["doctor", "--config", config])
    training = found.get("training") if isinstance(found, dict) else None
    told = (
        str(training["line"]).removeprefix("Training needs ").rstrip(".")
        if training
        else "minutes to hours, by base model and GPU"
    )
    return f"{told}; can be stopped and goes on"
