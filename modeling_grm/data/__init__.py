"""Preference data: sources, one row schema, and the contrast set that the embedded judge learns from."""
