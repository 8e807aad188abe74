"""A judge small enough for every test: `modeling_grm.toys` makes it, since the recipes' smoke runs want it too."""

from modeling_grm.toys import byte_tokenizer, random_llama, save_tiny, tiny_judge

__all__ = ["byte_tokenizer", "random_llama", "save_tiny", "tiny_judge"]
