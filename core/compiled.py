"""Compiled loops over numpy arrays: the one door to numba.

What goes through it is a *kernel*: a plain function over integers and numpy arrays, without Python objects, that means
the same when it is not compiled. Its rules:

- it allocates little, raises nothing and says by a returned code what it found;
- bounds are not checked: a kernel checks what it reads and writes, and its tests run it in Python as well
  (``NUMBA_DISABLE_JIT=1``), where numpy does check, except for negative indexes;
- it calls only kernels of its own folder, whose sources together are what a compiled copy on disk is valid for;
- integers are 64 bits wide; ``uint64`` must meet ``uint64`` only, or the result is a float;
- the interpreter's lock is let go of while it runs: nobody else may write to its arrays meanwhile.

The first call with new types takes seconds, or tenths of a second when the compiled copy of an earlier process is
found beside the source (or in the user's cache folder, where that one cannot be written). Importing this module takes
half a second and 60 MB. A process that must answer at once does both in a thread.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import config
from numba.core.caching import FunctionCache

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(function: Kernel) -> Kernel:
    """Compile a kernel on its first call, and keep the machine code for the next process."""
    if not is_compiling():
        return function
    dispatcher: Any = numba.njit(nogil=True, error_model="numpy")(function)
    kernel: Kernel = dispatcher
    try:
        kept: Any = FunctionCache(function)  # type: ignore[no-untyped-call]
    except RuntimeError:
        # No folder can be written: each process compiles for itself.
        return kernel
    # numba looks at the function's own file only, and would run code with an old copy of what that calls.
    kept._cache_file._source_stamp = sources_digest(Path(inspect.getfile(function)).parent)
    dispatcher._cache = kept
    return kernel


def is_kept(kernel: Callable[..., Any]) -> bool:
    """Whether compiled code of a kernel's present sources is on disk."""
    kept: Any = getattr(kernel, "_cache", None)
    return isinstance(kept, FunctionCache) and bool(kept._cache_file._load_index())  # type: ignore[no-untyped-call]


def is_compiling() -> bool:
    """Whether kernels are compiled in this process; as Python they are right, and hundreds of times slower."""
    return not config.DISABLE_JIT  # type: ignore[attr-defined] # made by numba from the environment


@cache
def sources_digest(folder: Path) -> str:
    """A digest of all modules in a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
