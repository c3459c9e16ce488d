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
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import config, types
from numba.core.caching import FunctionCache
from numba.extending import lower_builtin, type_callable

Kernel = TypeVar("Kernel", bound=Callable[..., Any])
Bytes = npt.NDArray[np.uint8]


def compiled(function: Kernel) -> Kernel:
    """Compile a kernel on its first call, and keep the machine code for the next process."""
    return compile_later(function, counting=True)


def lean(function: Kernel) -> Kernel:
    """``compiled``, for a kernel that allocates nothing: it counts no references to arrays, which takes half its time.

    Its caller has them all. What it calls may be ``compiled``, and allocate.
    """
    return compile_later(function, counting=False)


def compile_later(function: Kernel, *, counting: bool) -> Kernel:
    """See ``compiled`` and ``lean``."""
    if not is_compiling():
        # Machine words wrap without a word; numpy's scalars warn of it.
        wrapping: Kernel = np.errstate(over="ignore")(function)
        return wrapping
    # numba's stubs leave out ``_nrt``. Nobody calls a kernel from C.
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": counting, "no_cfunc_wrapper": True}
    dispatcher: Any = numba.njit(**options)(function)
    if not counting:
        dispatcher.get_call_template = partial(call_widely, dispatcher.get_call_template)
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


def call_widely(call: Callable[..., Any], arguments: Any, named: Any) -> Any:
    """Have a kernel compiled once for all integers with a sign, and not anew for each width and each constant."""
    return call(tuple(map(widen, arguments)), named)


def widen(kind: Any) -> Any:
    """The type that stands for one of numba's, its constants and narrower integers."""
    kind = types.unliteral(kind)  # type: ignore[no-untyped-call]
    return types.int64 if kind in types.signed_domain else kind


def is_kept(kernel: Callable[..., Any]) -> bool:
    """Whether compiled code of a kernel's present sources is on disk."""
    kept: Any = getattr(kernel, "_cache", None)
    return isinstance(kept, FunctionCache) and bool(kept._cache_file._load_index())  # type: ignore[no-untyped-call]


def is_compiling() -> bool:
    """Whether kernels are compiled in this process; as Python they are right, and hundreds of times slower."""
    return not config.DISABLE_JIT  # type: ignore[attr-defined] # made by numba from the environment


@cache
def sources_digest(folder: Path) -> str:
    """A digest of all modules in a folder, and of this one."""
    digest = hashlib.sha256()
    for path in (Path(__file__), *sorted(folder.glob("*.py"))):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def eight_at(data: Bytes, at: int) -> np.uint64:
    """Eight bytes as one number, from any place on."""
    assert 0 <= at <= len(data) - 8, "eight bytes are there"
    return np.uint64(int.from_bytes(data[int(at) : int(at) + 8].tobytes(), "little"))


def put_eight(data: Bytes, at: int, eight: np.uint64) -> None:
    """Write eight bytes, to any place."""
    assert 0 <= at <= len(data) - 8, "eight bytes have room"
    data[int(at) : int(at) + 8] = np.frombuffer(int(eight).to_bytes(8, "little"), dtype=np.uint8)


def first_bit(flags: np.uint64) -> int:
    """The place of the lowest bit that is set; 64 when none is."""
    return (int(flags) & -int(flags)).bit_length() - 1 if flags else 64


# What these three are in a kernel: one instruction each.


@type_callable(eight_at)
def type_eight_at(_context: Any) -> Any:
    """The number's type, for any array of bytes."""
    return lambda data, at: types.uint64 if is_bytes(data) and isinstance(at, types.Integer) else None


@type_callable(put_eight)
def type_put_eight(_context: Any) -> Any:
    """Nothing, for any array of bytes."""
    return lambda data, at, _eight: types.none if is_bytes(data) and isinstance(at, types.Integer) else None


@type_callable(first_bit)
def type_first_bit(_context: Any) -> Any:
    """A place among the bits of a number without a sign."""
    return lambda flags: types.int64 if flags == types.uint64 else None


@lower_builtin(eight_at, types.Array, types.Integer)  # type: ignore[no-untyped-call, untyped-decorator]
def lower_eight_at(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    """A load from an address that need not be a word's."""
    return builder.load(address(context, builder, signature, values), align=1)


@lower_builtin(put_eight, types.Array, types.Integer, types.Integer)  # type: ignore[no-untyped-call, untyped-decorator]
def lower_put_eight(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    """A store to such an address."""
    eight = context.cast(builder, values[2], signature.args[2], types.uint64)
    builder.store(eight, address(context, builder, signature, values), align=1)
    return context.get_dummy_value()


@lower_builtin(first_bit, types.Integer)  # type: ignore[no-untyped-call, untyped-decorator]
def lower_first_bit(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
    """Noughts before it, counted from the lowest bit."""
    return builder.cttz(values[0], ir.Constant(ir.IntType(1), 0))


def address(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    """Where eight bytes of an array begin."""
    array = context.make_array(signature.args[0])(context, builder, values[0])
    at = context.cast(builder, values[1], signature.args[1], types.intp)
    return builder.bitcast(builder.gep(array.data, [at]), ir.IntType(64).as_pointer())


def is_bytes(kind: Any) -> bool:
    """Whether a numba type is that of bytes, one behind the other."""
    return isinstance(kind, types.Array) and (kind.dtype, kind.ndim, kind.layout) == (types.uint8, 1, "C")
