"""Makes a trained adapter what the package ships: bf16 safetensors, a clean configuration, and the judge's settings.

python recipes/rft/export.py --adapter runs/rft-contrast --out modeling_grm/adapters/smollm2-135m-grm
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from modeling_grm.configuration_grm import GRMConfig
from modeling_grm.embedded import HUB_ID

SETTINGS = GRMConfig(template="compact", k=8, temperature=0.7, max_new_tokens=512)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapter", type=Path, required=True, help="folder that training left")
    parser.add_argument("--out", type=Path, required=True, help="folder inside the package")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    weights = load_file(args.adapter / "adapter_model.safetensors")
    small = {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in weights.items()}
    save_file(small, args.out / "adapter_model.safetensors", metadata={"format": "pt"})
    config = json.loads((args.adapter / "adapter_config.json").read_text())
    config |= {"base_model_name_or_path": HUB_ID, "inference_mode": True}
    (args.out / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    (args.out / "grm.json").write_text(json.dumps(SETTINGS.to_dict(), indent=2) + "\n")


if __name__ == "__main__":
    main()
