"""What a compiled program holds in memory, as far as the backend says; and whether one has started."""

from __future__ import annotations

from typing import Any

from jaxmagic.results import Memory


def memory(compiled: Any) -> Memory | None:
    """What a compiled program holds; None where the backend does not say.

    The peak is what XLA sets aside: its own `peak_memory_in_bytes` leaves the temporaries out on a CPU.
    """
    try:
        stats = compiled.memory_analysis()
        arguments, outputs, temporaries, aliased = (
            int(getattr(stats, f"{part}_size_in_bytes")) for part in ("argument", "output", "temp", "alias")
        )
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return None
    return Memory(
        arguments=arguments,
        outputs=outputs,
        temporaries=temporaries,
        aliased=aliased,
        peak=arguments + outputs + temporaries - aliased,
    )


def assignment(compiled: Any) -> tuple[bytes, bytes] | None:
    """XLA's assignment of values to memory, and the module that it is about, both serialized."""
    try:
        assigned = bytes(compiled.memory_analysis().serialized_buffer_assignment_proto)
        module = compiled.runtime_executable().hlo_modules()[0].as_serialized_hlo_module_proto()
    except (AttributeError, NotImplementedError, RuntimeError, TypeError, IndexError):
        return None
    return (assigned, bytes(module)) if assigned else None


def backends_started() -> bool:
    """Whether JAX has started a backend already; where it does not say, that it has not."""
    try:
        from jax._src import xla_bridge

        return xla_bridge.backends_are_initialized()
    except (ImportError, AttributeError):
        return False
