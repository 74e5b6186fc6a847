"""Orders the start of programs, after the launch before and among each other. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201

import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait, globaltimer


@triton.jit
def follow(overlap: tl.constexpr):
    """Wait for the launch before, and let the next one start meanwhile, which waits in turn.

    Call it before anything is read that the launch before writes, and before anything at all is written.
    """
    if overlap:
        gdc_wait()
        gdc_launch_dependents()


@triton.jit
def meet(arrived, programs):
    """Wait until so many programs have come here, `arrived` int32; what they wrote before can be read then.

    All of them must be able to run at the same time. What they wrote is read past the first-level cache (".cg").
    """
    tl.debug_barrier()  # all threads have written
    seen = tl.atomic_add(arrived, 1) + 1
    while seen < programs:
        seen = tl.atomic_add(arrived, 0)
    tl.debug_barrier()


@triton.jit
def hold_back(program, processors, resident, wait: tl.constexpr):
    """Start the programs of a processor's first wave `wait` nanoseconds apart.

    Programs that start together also read, select and gather together, and memory idles while they select.
    """
    if wait > 0:
        begin = globaltimer()
        now = begin
        end = begin + tl.where(program < processors * resident, program // processors * wait, 0)
        while now < end:
            now = globaltimer()
