"""Preference items in four pools, contrast, whole, verifiable, human: how each is read, balanced, split, described."""
