"""Makes a trained adapter what the package ships: bf16 safetensors, a clean configuration, and the judge's settings.

python recipes/rft/export.py --adapter runs/rft-contrast --out modeling_grm/adapters/smollm2-135m-grm
python recipes/rft/export.py --adapter runs/rft-grown --out runs/grown/shipped --workspace runs/grown

A workspace is what the next stages go on from, without the Hub: `base`, `adapter` (to train on: `model:
runs/grown/adapter`) and `merged` (to sample from: `grm score --model runs/grown/merged --backend vllm`).
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from modeling_grm.configuration_grm import GRMConfig
from modeling_grm.embedded import HUB_ID, base_model, merge

SETTINGS = GRMConfig(template="compact", k=8, temperature=0.7, max_new_tokens=512)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapter", type=Path, required=True, help="folder that training left")
    parser.add_argument("--out", type=Path, required=True, help="folder inside the package")
    parser.add_argument("--workspace", type=Path, help="also a folder for the next stages")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    weights = load_file(args.adapter / "adapter_model.safetensors")
    small = {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in weights.items()}
    save_file(small, args.out / "adapter_model.safetensors", metadata={"format": "pt"})
    config = json.loads((args.adapter / "adapter_config.json").read_text())
    config |= {"base_model_name_or_path": HUB_ID, "inference_mode": True}
    (args.out / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    (args.out / "grm.json").write_text(json.dumps(SETTINGS.to_dict(), indent=2) + "\n")
    if args.workspace:
        lay_out(args.out, args.workspace)


def lay_out(shipped: Path, folder: Path) -> None:
    """The base, the adapter on top of it, and both merged."""
    base = base_model()
    model, tokenizer, _ = base
    model.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    shutil.copytree(shipped, folder / "adapter", dirs_exist_ok=True)
    path = folder / "adapter" / "adapter_config.json"
    config = json.loads(path.read_text()) | {"base_model_name_or_path": str(folder / "base")}
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    merge(base, shipped, folder / "merged")


if __name__ == "__main__":
    main()
