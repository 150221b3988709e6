"""What is set up before the workers are forked."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

#: After a large block was freed, glibc would take smaller ones from the heap, and keep them when they are free.
PROGRAM = """
import ctypes
from types import SimpleNamespace
from gateway.serving import config

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd".split() + list("abcde")]

mallinfo = ctypes.CDLL(None).mallinfo2
mallinfo.restype = Info
config.on_starting(SimpleNamespace())
large = bytearray(2**24)
del large
before = mallinfo().hblks
kept = bytearray(2 * config.LARGE_BLOCK_BYTES)
print(mallinfo().hblks - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is one of glibc")
def test_the_memory_of_large_requests_is_returned_to_the_system(tmp_path):
    environment = {"DATABASE_URL": "postgresql://nobody@/postgres", "DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-c", PROGRAM]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["1"]
