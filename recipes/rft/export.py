"""Makes a trained adapter what the package ships: bf16 safetensors and a clean configuration.

python recipes/rft/export.py --adapter runs/rft-unquoted --out modeling_grm/adapters/smollm2-135m-grm
python recipes/rft/export.py --adapter runs/meta-smollm2-135m --out runs/meta-shipped
python recipes/rft/export.py --adapter runs/rft-grown --out runs/grown/shipped --workspace runs/grown

A workspace is what the next stages go on from, without the Hub: `base`, `adapter` (to train on: `model:
runs/grown/adapter`) and `merged` (to sample from: `grm score --model runs/grown/merged --backend vllm`). A meta RM's
adapter (recipes/meta_rm) stands on the merged judge.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from modeling_grm.configuration_grm import GRMConfig
from modeling_grm.embedded import HUB_ID, base_model, merge, put_adapter
from modeling_grm.judged_grm import ADAPTER_FILE
from modeling_grm.loading import ADAPTER_SETTINGS
from modeling_grm.publishing.weights import read_json, write_json

JUDGE = "SmolLM2-135M-GRM"
SETTINGS = {"k": 8, "temperature": 0.5, "max_new_tokens": 512}
"""Of the embedded judge, beside the template that it was trained on."""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapter", type=Path, required=True, help="folder that training left")
    parser.add_argument("--out", type=Path, required=True, help="folder inside the package")
    parser.add_argument("--workspace", type=Path, help="also a folder for the next stages")
    args = parser.parse_args()
    about = args.adapter / ADAPTER_FILE
    if about.is_file() and args.workspace:
        parser.error(f"--workspace: {args.adapter} is a meta RM, which nothing goes on from")
    args.out.mkdir(parents=True, exist_ok=True)
    if about.is_file():
        ship(args.adapter, args.out, JUDGE)
        write_json(args.out / ADAPTER_FILE, read_json(about) | {"base": JUDGE})
        return
    trained = GRMConfig.from_dict(read_json(args.adapter / ADAPTER_SETTINGS))
    ship(args.adapter, args.out, HUB_ID)
    write_json(args.out / ADAPTER_SETTINGS, trained.override(**SETTINGS).to_dict())
    if args.workspace:
        lay_out(args.out, args.workspace)


def ship(adapter: Path, out: Path, base: str) -> None:
    """Its weights in bf16, and its configuration with a public base."""
    weights = load_file(adapter / "adapter_model.safetensors")
    small = {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in weights.items()}
    save_file(small, out / "adapter_model.safetensors", metadata={"format": "pt"})
    config = read_json(adapter / "adapter_config.json")
    write_json(out / "adapter_config.json", config | {"base_model_name_or_path": base, "inference_mode": True})


def lay_out(shipped: Path, folder: Path) -> None:
    """The base, the adapter on top of it, and both merged."""
    base = base_model()
    model, tokenizer, _ = base
    model.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    put_adapter(shipped, folder / "adapter", folder / "base")
    merge(base, shipped, folder / "merged")


if __name__ == "__main__":
    main()
