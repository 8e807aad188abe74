"""Preference items in three pools, contrast, verifiable and human: how each is read, balanced, split and described."""
