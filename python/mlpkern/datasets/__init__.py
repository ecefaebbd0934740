"""Data to train on: the shipped digits, and readers for CSV, NPZ and IDX files.

A reader returns a `Table`, the values as the file has them; `prepare` makes a `Dataset` of it,
with training and test part, classes numbered, and what standardizes inputs and targets.
"""

from .dataset import Dataset, prepare
from .digits import load_digits
from .idx import read_idx
from .readers import read_inputs, read_table
from .table import Table

__all__ = [
    "Dataset",
    "Table",
    "load_digits",
    "prepare",
    "read_idx",
    "read_inputs",
    "read_table",
]
