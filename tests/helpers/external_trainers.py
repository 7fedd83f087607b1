"""Stand-ins for sd-scripts and ai-toolkit: they read the configuration this program wrote, strictly, speak as the real
ones and write a LoRA.

Each is one Python file in a folder of the real one's layout. The keys they know are those of the tools' own parsers
(tests/helpers/foreign_keys.py).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.helpers import foreign_keys
from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.trainers.external.aitoolkit import AiToolkit
from twinloop.adapters.trainers.external.kohya import Kohya
from twinloop.adapters.trainers.external.tool import Installation, Tool, locate
from twinloop.adapters.trainers.external.trainer import ExternalTrainer
from twinloop.families import FAMILIES

_COMMON = '''
import hashlib, json, os, pathlib, signal, sys, time
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

def pictures(folder):
    """Every picture with its caption; without one it is an error, as in the real ones without class tokens."""
    found = []
    for path in sorted(pathlib.Path(folder).iterdir()):
        if path.suffix in (".png", ".jpg", ".jpeg", ".webp"):
            caption = path.with_suffix(".txt").read_text().strip()
            assert caption, path
            found.append(hashlib.sha256(path.read_bytes()).hexdigest() + caption)
    assert found, folder
    return found

def masks_of(folder, masks):
    """The masks of all pictures of a folder, which have the same names."""
    names = sorted(path.stem for path in pathlib.Path(folder).iterdir() if path.suffix != ".txt")
    assert names == sorted(path.stem for path in pathlib.Path(masks).iterdir()), masks
    return [hashlib.sha256((pathlib.Path(masks) / f"{name}.png").read_bytes()).hexdigest() for name in names]

def train(state, first, steps, seed, data, rank, say, save):
    """A chain of hashes for a training: step n depends on all before it, and on nothing else."""
    mode = os.environ.get("STAND_IN", "")
    for step in range(first + 1, steps + 1):
        state = hashlib.sha256(f"{state}{step}{seed}{data[step % len(data)]}".encode()).hexdigest()
        if mode == "nan" and step == 3:
            say(step, float("nan"))
            time.sleep(30)
        if mode == "crash" and step == 3:
            error = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"
            print(f"Traceback (most recent call last):\\n{error}", file=sys.stderr)
            sys.exit(1)
        if mode == "hang" and step == 3:
            for sign in (signal.SIGINT, signal.SIGTERM):
                signal.signal(sign, signal.SIG_IGN)
            say(step, 0.5)
            pathlib.Path(os.environ["STAND_IN_PID"]).write_text(str(os.getpid()))
            time.sleep(600)
        say(step, 1.0 / step)
        save(step, state)
    draw = np.random.default_rng(int(state[:16], 16))
    half = lambda *size: draw.normal(size=size).astype(np.float16)
    return state, lambda out, into: (half(rank, into), half(out, rank))
'''

_KOHYA = """
import argparse, tomllib
parser = argparse.ArgumentParser()
parser.add_argument("--config_file", required=True)
parser.add_argument("--resume")
parser.add_argument("--skip_until_initial_step", action="store_true")
parser.add_argument("--output_dir")
parser.add_argument("--unet_lr", type=float)
asked = parser.parse_args()
args = {}
for section in tomllib.loads(pathlib.Path(asked.config_file).read_text()).values():
    args |= section
assert set(args) <= KNOWN, set(args) - KNOWN
lokr = args["network_module"] == "lycoris.kohya" and "algo=lokr" in args["network_args"]
assert args["save_model_as"] == "safetensors" and (lokr or args["network_module"] == NETWORK), args
assert pathlib.Path(args["pretrained_model_name_or_path"]).exists() or "/" in args["pretrained_model_name_or_path"]
config = tomllib.loads(pathlib.Path(args["dataset_config"]).read_text())
assert set(config) == {"general", "datasets"} and config["general"]["caption_extension"] == ".txt", config
assert set(config["general"]) <= GENERAL, config["general"]
data, regularisation = [], []
for dataset in config["datasets"]:
    assert set(dataset) <= DATASET, dataset
    step = dataset["bucket_reso_steps"]
    assert dataset["min_bucket_reso"] % step == 0 == dataset["max_bucket_reso"] % step
    for subset in dataset["subsets"]:
        masks = subset.pop("conditioning_data_dir", None)
        assert set(subset) <= SUBSET, subset
        if masks is not None:  # which it takes for those of a ControlNet
            assert args["masked_loss"] and not {"is_reg", "class_tokens"} & set(subset), subset
            data += masks_of(subset["image_dir"], masks)
        cached = args.get("cache_text_encoder_outputs")
        assert not (cached and subset["caption_dropout_rate"]), "cached texts cannot be dropped"
        if subset.get("is_reg"):
            regularisation += [(picture, subset["num_repeats"]) for picture in pictures(subset["image_dir"])]
        else:
            data += pictures(subset["image_dir"]) * subset["num_repeats"]
# DreamBoothDataset: prior images with their repeats until they are as many as the others, then once more each
wanted, registered, first_loop = len(data), [], True
while regularisation and len(registered) < wanted:
    for picture, repeats in regularisation:
        registered += [picture] * (repeats if first_loop else 1)
        if len(registered) >= wanted:
            break
    first_loop = False
data += registered
output, name, steps = pathlib.Path(asked.output_dir or args["output_dir"]), args["output_name"], args["max_train_steps"]
output.mkdir(parents=True, exist_ok=True)
first, state = 0, ""
if asked.resume:
    assert asked.skip_until_initial_step, "would train all steps once more"
    kept = json.loads((pathlib.Path(asked.resume) / "train_state.json").read_text())
    first, state = kept["current_step"], kept["state"]
    assert steps > first
print("running training / 学習開始")
print(f"  num train images * repeats / 学習画像の数×繰り返し回数: {len(data)}")
sys.stderr.write("caching latents: 100%|##########| 5/5 [00:00<00:00, 90.1it/s]\\r\\n")
total = steps - first
sys.stderr.write(f"steps:   0%|          | 0/{total} [00:00<?, ?it/s]")
def say(step, loss):
    done = step - first
    bar = f"steps: {100 * done // total:3d}%|{'#' * (10 * done // total):10s}| {done}/{total}"
    bar += f" [00:0{done % 10}<00:01,  1.20s/it"
    sys.stderr.write(f"\\r{bar}]\\r{bar}, avr_loss={loss:.3g}]")
    sys.stderr.flush()
def save(step, state):
    if step % args["save_every_n_steps"] == 0:
        folder = output / f"{name}-step{step:08d}-state"
        folder.mkdir(exist_ok=True)
        (folder / "train_state.json").write_text(json.dumps({"current_step": step, "state": state}))
        (folder / "model.safetensors").write_bytes(b"x")
        (folder / "random_states_0.pkl").write_bytes(b"x")
state, pair = train(state, first, steps, args["seed"], data, args["network_dim"], say, save)
tensors = {}
for layer, out, into in LAYERS:
    if lokr:
        factor = int(next(word for word in args["network_args"] if word.startswith("factor=")).partition("=")[2])
        down, up = pair(out // factor, into // factor)
        tensors[f"{layer}.lokr_w1"] = pair(factor, factor)[0][:1] * np.eye(factor, dtype=np.float16)
        tensors[f"{layer}.lokr_w2_a"], tensors[f"{layer}.lokr_w2_b"] = up, down
    else:
        tensors[f"{layer}.lora_down.weight"], tensors[f"{layer}.lora_up.weight"] = pair(out, into)
    tensors[f"{layer}.alpha"] = np.array(args["network_alpha"], np.float16)
texts = {"ss_dataset_dirs": str(config), "ss_network_dim": str(args["network_dim"])}
texts |= {"ss_num_train_images": str(wanted), "ss_num_reg_images": str(len(set(registered)))}
save_file(tensors, output / f"{name}.safetensors", texts)
print("\\nmodel saved.")
"""

_KEYS = (
    f"GENERAL, DATASET, SUBSET = {set(foreign_keys.KOHYA_GENERAL)!r}, {set(foreign_keys.KOHYA_DATASET)!r},"
    f" {set(foreign_keys.KOHYA_SUBSET)!r}\n"
)
_SDXL = (
    f"KNOWN = {set(foreign_keys.KOHYA_TRAINING | foreign_keys.KOHYA_OF_FAMILY['sdxl'])!r}\n"
    + 'NETWORK = "networks.lora"\nLAYERS = [("lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q", 640, 640),'
    ' ("lora_unet_output_blocks_0_1_transformer_blocks_0_attn2_to_k", 1280, 2048)]\n'
)
_FLUX = (
    f"KNOWN = {set(foreign_keys.KOHYA_TRAINING | foreign_keys.KOHYA_OF_FAMILY['flux'])!r}\n"
    + 'NETWORK = "networks.lora_flux"\nLAYERS = [("lora_unet_double_blocks_0_img_attn_qkv", 72, 24),'
    ' ("lora_unet_single_blocks_3_linear1", 168, 24)]\n'
)

_AI_TOOLKIT = """
import yaml
job = yaml.safe_load(pathlib.Path(sys.argv[1]).read_text())
assert set(job) == {"job", "config", "meta"} and job["job"] == "extension"
name, (process,) = job["config"]["name"], job["config"]["process"]
assert set(process) <= KEYS["process"] and process["type"] == "sd_trainer", process
for key in ("network", "save", "train", "model", "sample"):
    assert set(process[key]) <= KEYS[key], process[key]
assert process["sample"]["sampler"] == process["train"]["noise_scheduler"]
data = []
for dataset in process["datasets"]:
    assert set(dataset) <= KEYS["datasets"], dataset
    assert isinstance(dataset["resolution"], list)
    if "mask_path" in dataset:
        data += masks_of(dataset["folder_path"], dataset["mask_path"])
    data += pictures(dataset["folder_path"]) * dataset["num_repeats"]
folder = pathlib.Path(process["training_folder"]) / name
folder.mkdir(parents=True, exist_ok=True)
steps, rank = process["train"]["steps"], process["network"]["linear"]
first, state = 0, ""
for path in sorted(folder.glob(f"{name}_*.safetensors")):
    with safe_open(path, "numpy") as file:  # a file that was cut short ends it here, as it would end the real one
        first, state = int(path.stem[-9:]), file.metadata()["state"]
    print(f"#### IMPORTANT RESUMING FROM {path} ####")
def say(step, loss):
    bar = f"{100 * step // steps:3d}%|{'#' * (10 * step // steps):10s}| {step}/{steps}"
    sys.stderr.write(f"\\r{name}: {bar} [00:05<00:10,  1.41s/it, lr: 1.0e-04 loss: {loss:.3e}]")
    sys.stderr.flush()
def save(step, state):
    if step % process["save"]["save_every"] == 0 and step < steps:
        save_file({"x": np.ones(1, np.float32)}, folder / f"{name}_{step:09d}.safetensors", {"state": state})
state, pair = train(state, first, steps, process["training_seed"], data, rank, say, save)
layers = [
    ("transformer.transformer_blocks.0.attn.to_q", 24, 24),
    ("transformer.single_transformer_blocks.3.proj_mlp", 96, 24),
]
tensors = {}
for layer, out, into in layers:
    tensors[f"{layer}.lora_A.weight"], tensors[f"{layer}.lora_B.weight"] = pair(out, into)
save_file(tensors, folder / f"{name}.safetensors")
print("\\nResult:\\n - 1 completed job")
"""


def sd_scripts(folder: Path) -> Path:
    """An sd-scripts checkout that trains SDXL and FLUX.1."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train_network.py").write_text("raise SystemExit('not used here')\n")
    (folder / "sdxl_train_network.py").write_text(_COMMON + _KEYS + _SDXL + _KOHYA)
    (folder / "flux_train_network.py").write_text(_COMMON + _KEYS + _FLUX + _KOHYA)
    (folder / ".git").mkdir(exist_ok=True)
    (folder / ".git" / "HEAD").write_text("0123456789abcdef0123456789abcdef01234567\n")
    return folder


def ai_toolkit(folder: Path) -> Path:
    """An ai-toolkit checkout."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = {name: set(known) for name, known in foreign_keys.AI_TOOLKIT.items()}
    (folder / "run.py").write_text(f"{_COMMON}\nKEYS = {keys!r}\n{_AI_TOOLKIT}")
    return folder


def installed(tool: Tool, folder: Path, *arguments: str) -> Installation:
    return locate(tool, str(folder), sys.executable, arguments)


def kohya_trainer(
    folder: Path,
    base: str = "someone/some-sdxl",
    *arguments: str,
    notice: Callable[[str], None] = lambda text: None,
) -> ExternalTrainer:
    """SDXL by the stand-in for sd-scripts."""
    tool = Kohya()
    where = installed(tool, sd_scripts(folder), *arguments)
    return ExternalTrainer(tool, where, BaseChoice(base), FAMILIES["sdxl"], notice=notice)


def ai_toolkit_trainer(
    folder: Path, base: str = "someone/some-flux", notice: Callable[[str], None] = lambda text: None
) -> ExternalTrainer:
    """FLUX.1 by the stand-in for ai-toolkit."""
    tool = AiToolkit()
    where = installed(tool, ai_toolkit(folder))
    return ExternalTrainer(tool, where, BaseChoice(base), FAMILIES["flux"], notice=notice)


TRAINERS: Mapping[str, Callable[[Path], ExternalTrainer]] = {"kohya": kohya_trainer, "ai-toolkit": ai_toolkit_trainer}
"""``training.trainer`` -> the stand-in for it, installed in a folder."""
