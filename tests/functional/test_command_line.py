"""What holds for every command: flags, speed of --help, JSON, exit codes."""

from __future__ import annotations

import io
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.functional import loops
from tests.functional.console import ROOT, configuration, python, twinloop
from twinloop import __version__
from twinloop.cli import commandline, facets
from twinloop.cli.command import Command, execute, script_parser
from twinloop.cli.scripts import SCRIPTS
from twinloop.errors import NothingToDo, TwinLoopError, WaitingForReview, from_name

SEED_FLAGS = {
    "gap_analysis.py": ("DATASET", "--models-dir", "--output"),
    "generate_synthetic.py": (
        "GAPS",
        "--base-model",
        "--lora",
        "--person",
        "--output",
        "--num-per-gap",
        "--steps",
        "--guidance",
    ),
    "validate_synthetic.py": ("FOLDER", "--models-dir", "--approved", "--rejected"),
    "bootstrap_loop.py": ("--config",),
}
HEAVY = (
    "torch",
    "onnxruntime",
    "pydantic",
    "numpy",
    "cv2",
    "PIL",
    "numba",
    "diffusers",
    "transformers",
    "sqlite3",
    "rich",
)


@pytest.mark.parametrize("name", SEED_FLAGS)
def test_the_flags_of_the_first_description_are_in_the_help(name: str) -> None:
    said = python(name, "--help", cwd=ROOT)
    assert said.code == 0
    assert all(flag in said.out for flag in SEED_FLAGS[name])


@pytest.mark.parametrize("name", SEED_FLAGS)
def test_script_and_subcommand_are_the_same(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = SCRIPTS[name]
    assert command in commandline.COMMANDS
    of_script = [line for line in script_parser(command, name).format_help().splitlines() if "--version" not in line]
    of_twinloop = twinloop(capsys, command.name, "--help").out.splitlines()
    start = "options:"
    own = [line for line in of_script[of_script.index(start) :] if "show program's" not in line]
    assert own == of_twinloop[of_twinloop.index(start) :]


def test_help_imports_nothing_heavy() -> None:
    """The reason why --help answers at once; a clock would only measure the machine."""
    calls = [
        ["--help"],
        ["--version"],
        *([c.name, "--help"] for c in commandline.COMMANDS),
        ["nano", "photos", "--help"],
        ["export", "did", "--help"],
    ]
    program = (
        "import sys\nfrom twinloop.cli.app import main\n"
        f"for argv in {calls!r}:\n    try:\n        main(argv)\n    except SystemExit:\n        pass\n"
        "print('LOADED', sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1]
    assert "'argparse'" in loaded
    assert not [name for name in HEAVY if f"'{name}'" in loaded]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert twinloop(capsys, "--version").out.strip() == f"twinloop {__version__}"


def test_the_installed_command_is_this_one() -> None:
    program = Path(sys.executable).with_name("twinloop")
    if not program.exists():
        pytest.skip("the package is not installed into this environment")
    assert (
        subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
        == f"twinloop {__version__}"
    )


def test_a_wrong_flag_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "analyze", "photos", "--modelsdir", "x")
    assert said.code == 2 and "--modelsdir" in said.err


def test_a_dash_for_a_file_is_standard_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert twinloop(capsys, "init", "--output", "-").out == twinloop(capsys, "init").out != ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("argv", [["facets"], ["doctor", "--models-dir", "fake"], ["init"], ["init", "--full"]])
def test_json_on_stdout_is_json_alone(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, *argv, "--json")
    assert said.code == 0
    assert isinstance(said.data, dict)


def test_the_loop_with_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    config = configuration(tmp_path, max_iterations=1)
    planned = twinloop(capsys, "run", "--config", config, "--dry-run", "--json")
    assert planned.data["plan"]["images_round_1"] == 2 * planned.data["gaps"]["gap_count"] > 0
    assert not Path("out").exists() and not Path("loras").exists()
    said = twinloop(capsys, "run", "--config", config, "--json")
    assert said.code == 0
    assert said.data == json.loads(Path("out/iteration_history.json").read_text())
    made = json.loads(Path("out/shots_iter1.json").read_text())["shots"]
    promised = [(item["prompt"], item["seed"]) for item in planned.data["plan"]["prompts"]]
    assert promised == [(item["prompt"], item["seed"]) for item in made]
    assert "✓ Gap Analysis:" in said.err and "Iteration 1:" in said.err


def test_a_dry_run_shows_prompts_of_every_gap(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    config = configuration(tmp_path, generation={"num_per_gap": 3})
    plan = twinloop(capsys, "run", "--config", config, "--dry-run", "--json").data["plan"]["prompts"]
    said = twinloop(capsys, "run", "--config", config, "--dry-run").out
    for number, item in enumerate(plan):
        assert f"  {item['type']}: {item['target']}, 3 images\n" in said
        if number % 3 < 2:
            assert f"    - {item['prompt']}\n" in said
    assert said.count("\n    - ") == 2 * len(plan) // 3


def test_a_dry_run_says_that_the_folder_holds_a_run_of_other_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    assert twinloop(capsys, "run", "--config", configuration(tmp_path, max_iterations=1)).code == 0
    assert (
        "refused" not in twinloop(capsys, "run", "--config", configuration(tmp_path, max_iterations=1), "--dry-run").err
    )
    config = configuration(tmp_path, max_iterations=1, person_trigger="ohwx somebody")
    planned, refused = (
        twinloop(capsys, "run", "--config", config, "--dry-run"),
        twinloop(capsys, "run", "--config", config),
    )
    assert (planned.code, refused.code) == (0, 2)
    for said in (planned.err, refused.err):
        assert "was started with other settings" in said and "person_trigger" in said
    assert "refused" not in twinloop(capsys, "run", "--config", config, "--dry-run", "--restart").err


def test_no_command_at_all_gets_the_list_of_them_and_the_way_to_the_menu(capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys)
    assert said.code == 2 and said.out == ""
    assert "commands:" in said.err and "twinloop menu" in said.err and "python beaver.py" in said.err
    assert "required" not in said.err and len(said.err.splitlines()) < 60
    assert "the following arguments are required" in twinloop(capsys, "vault").err


def test_a_dry_run_promises_no_work_that_was_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    config = configuration(tmp_path, max_iterations=1, validation={"auto_filter": False})

    def planned(*flags: str) -> str:
        said = twinloop(capsys, "run", "--config", config, "--dry-run", *flags)
        assert said.code == 0, said.err
        return said.out

    assert "Would train v1" in planned()
    assert twinloop(capsys, "run", "--config", config).code == 0
    assert "This run is finished (" in planned() and "--restart begins anew" in planned()
    assert "Would train" not in planned() and "Prompts of round 1" not in planned()
    assert "Would train v1" in planned("--restart")
    configuration(tmp_path, max_iterations=3, validation={"auto_filter": False})
    assert "goes on in round 2, with its gaps" in planned()
    configuration(tmp_path, max_iterations=1, validation={"auto_filter": False})
    history = json.loads(Path("out/iteration_history.json").read_text())
    first = {**history, "iterations": [], "loras": history["loras"][:1], "stop": None}
    Path("out/iteration_history.json").write_text(json.dumps(first))
    said = []
    for path in (
        "out/panel_v2.json",
        "loras/lora_v2.json",
        "out/dataset_iter1.json",
        "out/verdicts_iter1.json",
        "out/shots_iter1.json",
        "out/panel_v1.json",
        "loras/lora_v1.json",
    ):
        Path(path).unlink()
        (line,) = [line for line in planned().splitlines() if line.startswith("This run is")]
        said.append(line.removeprefix("This run is under way and goes on ").split(";")[0])
    made = len(list(Path("out/synthetic_iter1").glob("*.png")))
    assert said == [
        "in round 1, with the measuring of v2",
        "in round 1, with the training of v2",
        "in round 1, with its approved images",
        f"in round 1, with its {made} images ({made} made)",
        "in round 1, with its gaps",
        "with the measuring of v1",
        "with the training of v1",
    ]


def test_the_printed_loop(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    said = twinloop(capsys, "run", "--config", configuration(tmp_path))
    history = json.loads(Path("out/iteration_history.json").read_text())
    for entry in history["iterations"]:
        number, count = entry["iteration"], entry["gap_count"]
        assert f"Iteration {number}:\n  ✓ Gap Analysis: {count} gaps found" in said.out
        assert f"  ✓ Generated: {entry['generated']} images" in said.out
        assert f"  ✓ Validation: {entry['approved']} approved (" in said.out
        assert f"  ✓ Merged: {entry['merged']} images" in said.out
        assert f"  ✓ Training: LoRA v{number + 1} complete" in said.out
    assert history["stop"]["reason"] in said.out


def test_restart_keeps_the_old_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    config = configuration(tmp_path, max_iterations=1)
    assert twinloop(capsys, "run", "--config", config).code == 0
    old = loops.tree("out", "loras")
    configuration(tmp_path, max_iterations=1, seed=5)
    refused = twinloop(capsys, "run", "--config", config)
    assert refused.code == 2 and "seed: 0 -> 5" in refused.err and "--restart" in refused.err
    assert twinloop(capsys, "run", "--config", config, "--restart").code == 0
    kept = {
        name.replace("out.old1", "out").replace("loras.old1", "loras"): h
        for name, h in loops.tree("out.old1", "loras.old1").items()
    }
    assert kept == old
    assert loops.tree("out", "loras")["out/shots_iter1.json"] != old["out/shots_iter1.json"]


def test_restart_never_moves_the_photos(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("out/photos"))
    config = configuration(tmp_path, dataset_dir="out/photos")
    said = twinloop(capsys, "run", "--config", config, "--restart")
    assert said.code == 2 and "dataset_dir" in said.err
    assert len(list(Path("out/photos").iterdir())) == 14


def test_wanted_shares(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    Path("targets.json").write_text('{"face_angle": {"profile": 0.1, "front": 0.0}}')
    call = ["analyze", "photos", "--models-dir", "fake", "--json", "--targets", "targets.json", "--shares"]
    found = twinloop(capsys, *call, "face_angle.profile=25%").data
    values = found["facets"]["face_angle"]["values"]
    assert (values["profile"]["target"], values["front"]["target"]) == (0.25, 0.0)
    for wrong, hint in (
        ("face_angle.sideways=0.2", "no value 'sideways'"),
        ("mood.sad=0.2", "'mood' is no facet"),
        ("face_angle.front=0.9", "add up to"),
        ("profile=0.2", "FACET.VALUE=SHARE"),
        ("face_angle.front=1.5", "less than 1"),
    ):
        said = twinloop(capsys, *call, wrong)
        assert said.code == 2 and hint in said.err, wrong


def raising(error: BaseException) -> Command:
    def run(args: object, terminal: object) -> Any:
        raise error

    return Command("fails", "Fails.", lambda parser: None, run)


@pytest.mark.parametrize(
    ("error", "code", "text", "kind"),
    [
        (KeyboardInterrupt(), 130, "the same command goes on: fails --json", "Interrupted"),
        (NothingToDo("No usable photo."), 2, "No usable photo.", "NothingToDo"),
        (WaitingForReview("Look at them."), 3, "Look at them.", "WaitingForReview"),
        (OSError(28, "No space left on device", "/x/y"), 2, "the disk is full (/x/y). Nothing is lost", "StorageError"),
        (PermissionError(13, "Permission denied", "/x/y"), 2, "no permission (/x/y)", "StorageError"),
        (
            FileNotFoundError(2, "No such file or directory", "/x/y"),
            2,
            "No such file or directory (/x/y)",
            "InputError",
        ),
        (ModuleNotFoundError("No module named 'x'", name="x"), 2, "the library 'x' is not installed", "MissingExtra"),
        (ZeroDivisionError("division by zero"), 1, "a defect of the program", "Defect"),
    ],
)
def test_every_error_becomes_a_message_and_with_json_an_object(
    error: BaseException, code: int, text: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(script_parser(raising(error), "fails"), ["--json"]) == code
    said = capsys.readouterr()
    assert text in said.err and "Traceback" not in said.err
    told = json.loads(said.out)
    assert list(told) == ["error"] and list(told["error"]) == ["kind", "message", "code"]
    assert (told["error"]["kind"], told["error"]["code"]) == (kind, code)
    assert said.err == f"error: {told['error']['message']}\n"
    if isinstance(error, TwinLoopError):
        assert type(from_name(kind, text)) is type(error)


def test_whoever_stopped_reading_is_told_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(script_parser(raising(BrokenPipeError()), "fails"), ["--json"]) == 141
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (("rum",), 2, "unknown command 'rum'; did you mean run? twinloop --help lists all."),
        (("train", "--seed", "x"), 2, "argument --seed: invalid int value: 'x'"),
        (("run", "--bogus"), 2, "unrecognized arguments: --bogus. twinloop run --help lists all."),
        (("inspect",), 64, "the following arguments are required: PATH"),
    ],
)
def test_a_wrong_command_line_is_an_object_too(
    argv: tuple[str, ...], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = twinloop(capsys, *argv, "--json")
    assert said.code == code and said.data == {"error": {"kind": "InputError", "message": message, "code": code}}
    assert message in said.err and twinloop(capsys, *argv).out == ""


@pytest.mark.parametrize("what", ["full", "no reader"])
@pytest.mark.parametrize(
    ("call", "code"),
    [("init --json", 0), ("analyze none --models-dir fake --json", 2), ("rum", 2), ("", 2), ("menu", 2)],
)
def test_messages_that_cannot_be_written_change_nothing(call: str, code: int, what: str, tmp_path: Path) -> None:
    """Where the disk of a log is full, or whoever read it has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as gone, open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "twinloop", *call.split()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=full if what == "full" else gone,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            text=True,
            check=False,
        )
    assert done.returncode == code
    assert not call.endswith("--json") or isinstance(json.loads(done.stdout), dict)


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    execute(script_parser(raising(ZeroDivisionError("division by zero")), "fails"), ["--debug"])
    assert "Traceback" in capsys.readouterr().err


def test_errors_do_not_bring_a_terminal_what_it_would_obey(capsys: pytest.CaptureFixture[str]) -> None:
    parser = script_parser(raising(ValueError("\x1b[2J")), "fails")
    execute(parser, ["--debug"])
    for wrong in ("--\x1b[2J.jpg", "--json=\x1b[2J"):
        with pytest.raises(SystemExit):
            execute(parser, [wrong])
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err and said.err.count("\\x1b[2J") == 4


def test_output_that_cannot_be_written() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from twinloop.cli.app import main; raise SystemExit(main())"
    )
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", program, "facets"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr == "error: the disk is full. Nothing is lost; free some space and run the same command again.\n"


def test_a_reader_that_stops_reading() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from twinloop.cli.app import main; raise SystemExit(main())"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", program, "init"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_interrupting_a_run_and_going_on(tmp_path: Path) -> None:
    loops.write_photos(tmp_path / "photos")
    config = configuration(tmp_path, training={"steps": 4000})
    call = [sys.executable, str(ROOT / "bootstrap_loop.py"), "--config", config.name]
    # a test session started in the background ignores Ctrl-C, and so would its children
    running = subprocess.Popen(
        call,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    checkpoint = tmp_path / "loras/.training_v1/checkpoint.json"
    for _ in range(2400):
        if checkpoint.exists() or running.poll() is not None:
            break
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=120)
    assert running.returncode == 130
    assert err.endswith(f"the same command goes on: python {shlex.quote(call[1])} --config bootstrap_config.json\n")
    assert "Traceback" not in err
    assert json.loads(checkpoint.read_text())["step"] >= 1


def test_signs_that_the_terminal_lacks_do_not_stop_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", narrow)
    command = Command("says", "Says.", lambda parser: None, lambda args, terminal: terminal.line("✓ done"))
    assert execute(script_parser(command, "says"), []) == 0
    assert narrow.buffer.getvalue() == b"\\u2713 done\n"  # type: ignore[attr-defined]


def test_a_library_that_is_not_installed_is_named_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    def run(args: object, terminal: object) -> None:
        raise ModuleNotFoundError("No module named 'pydantic'", name="pydantic")

    command = Command("needs", "Needs.", lambda parser: None, run)
    assert execute(script_parser(command, "needs"), []) == 2
    said = capsys.readouterr().err
    assert "'pydantic' is not installed" in said and "pip install" in said and "defect" not in said


def test_facets_name_their_values(capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, facets.COMMAND.name)
    assert all(value in said.out for value in ("face_angle", "three_quarter", "hands_visible", "low_key"))


@pytest.mark.parametrize(
    ("field", "settings"),
    [
        *((f"training.{field}", {"training": {"steps": 3, field: "out/mine.safetensors"}})
          for field in ("assistant_lora", "start_from", "initial_lora")),
        ("generation.extra_loras", {"generation": {"extra_loras": [{"path": "out/mine.safetensors"}]}}),
        ("training.prior_images", {"training": {"steps": 3, "prior_images": "link/others"}}),
        ("analysis.plugins", {"analysis": {"plugins": ["out/mine.py"]}}),
        ("--config", {}),
    ],
)  # fmt: skip
def test_restart_moves_nothing_that_the_new_run_reads(
    field: str,
    settings: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    loops.write_photos(Path("out/others"))
    Path("link").symlink_to("out")
    Path("out/mine.safetensors").write_bytes(b"x")
    Path("out/mine.py").touch()
    config = configuration(tmp_path / "out" if field == "--config" else tmp_path, **settings)
    said = twinloop(capsys, "run", "--config", config, "--restart")
    assert said.code == 2 and f"--restart would move {field} (" in said.err
    assert Path("out/mine.safetensors").exists() and not Path("out.old1").exists()


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("argv", "code"), [("facets", 0), ("--help", 0), ("facets --no", 2), ("analyze gone", 2)])
def test_a_stream_that_is_closed_stops_nothing(tmp_path: Path, closed: str, argv: str, code: int) -> None:
    line = f"{shlex.quote(sys.executable)} -m twinloop {argv} {closed}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code and "Traceback" not in done.stderr


def test_no_file_takes_the_place_of_a_stream_that_is_closed(tmp_path: Path) -> None:
    program = (
        "import os, twinloop.cli.app as app; app._guarded(lambda: os.open('made', os.O_CREAT | os.O_WRONLY));"
        " os.write(1, b'lost')"
    )
    line = f"{shlex.quote(sys.executable)} -c {shlex.quote(program)} <&- >&- 2>&-"
    subprocess.run(["sh", "-c", line], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    assert (tmp_path / "made").read_bytes() == b""


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("trian",), "twinloop: error: unknown command 'trian'; did you mean train? twinloop --help lists all.\n"),
        (("vault", "scam"), "twinloop vault: error: unknown command 'scam'; did you mean scan?"),
        (("lora", "mrege"), "twinloop lora: error: unknown action 'mrege'; did you mean merge?"),
        (("run", "--confg", "c.json"), "twinloop run: error: unrecognized arguments: --confg; did you mean --config?"),
        (
            ("run", "c.json", "--qqq=1"),
            "twinloop run: error: unrecognized arguments: --qqq=1. twinloop run --help",
        ),
        (("train", "photos", "--s", "3"), "twinloop train: error: ambiguous option: --s could match"),
    ],
)
def test_a_word_that_is_not_known_is_one_line_with_what_comes_near(
    argv: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = twinloop(capsys, *argv)
    assert told.code == 2 and told.err.startswith(said) and told.err.count("\n") == 1


def test_the_configuration_of_a_run_with_and_without_its_flag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    config = configuration(tmp_path)
    plans = [
        twinloop(capsys, "run", *argv, "--dry-run", "--json").data
        for argv in ((config,), ("--config", config), (config.name, "--config", config))
    ]
    assert plans[0] == plans[1] == plans[2] and plans[0]["plan"]["prompts"]
    other = twinloop(capsys, "run", config, "--config", "other.json")
    assert other.code == 2 and "Two configurations are named" in other.err
    none = twinloop(capsys, "run")
    assert none.code == 2 and "Which configuration?" in none.err
