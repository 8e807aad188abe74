"""pyarrow, or the line that installs it."""

from __future__ import annotations

try:
    import pyarrow as pa
    from pyarrow import compute as pc
    from pyarrow import parquet as pq
except ImportError as error:
    raise ImportError("the trajectory store needs pyarrow: pip install 'modeling-grm[data]'") from error

__all__ = ["pa", "pc", "pq"]
