"""Whose work each instruction of a compiled program is, over hand-written HLO."""

from __future__ import annotations

from types import SimpleNamespace

from jaxmagic.analysis import compiled
from jaxmagic.analysis.owners import Owners
from jaxmagic.results import Span


def place(line):
    return Span(file="f.py", line=line, column=0, end_line=line, end_column=9, function="f")


def equation(primitive, line):
    return SimpleNamespace(
        span=place(line), equation=SimpleNamespace(primitive=SimpleNamespace(name=primitive))
    )


def owners(text, *steps):
    """Who is found for an instruction: line numbers. A stack frame's id is its line."""
    read = compiled.read(text, lambda _: lambda frame, _: place(frame))
    found = Owners(read, steps)
    return lambda name: tuple(one.line if isinstance(one, Span) else one.frame for one in found.of(name))


COPY = """HloModule jit_f

fused_add (p0: f32[4,4], p1: f32[4,4]) -> f32[4,4] {
  %p0 = f32[4,4]{0,1} parameter(0)
  %p1 = f32[4,4]{1,0} parameter(1)
  %added = f32[4,4]{1,0} add(%p0, %p1), metadata={op_name="jit(f)/add" stack_frame_id=2}
  ROOT %relaid = f32[4,4]{0,1} copy(%added)
}

ENTRY main (x: f32[4,4]) -> f32[4,4] {
  %x = f32[4,4]{1,0} parameter(0)
  %turned = f32[4,4]{0,1} copy(%x)
  %fusion = f32[4,4]{0,1} fusion(%turned, %x), kind=kLoop, calls=%fused_add
  %sorted = f32[4,4]{0,1} sort(%fusion), metadata={op_name="jit(f)/sort" stack_frame_id=3}
  ROOT %back = f32[4,4]{1,0} copy(%sorted)
}
"""


def test_an_instruction_that_says_it_is_believed():
    assert owners(COPY)("sorted") == (3,)


def test_a_copy_without_a_source_is_for_what_uses_it():
    of = owners(COPY)
    assert of("turned") == (2,), "used by an addition inside of a fusion"
    assert of("relaid") == (3,), "inside of a fusion, for the sort after it"


def test_a_copy_with_the_source_of_what_it_copies_is_for_what_uses_it():
    text = COPY.replace("copy(%added)", 'copy(%added), metadata={op_name="jit(f)/add" stack_frame_id=2}')
    assert owners(text)("relaid") == (3,)
    asked = COPY.replace("copy(%added)", 'copy(%added), metadata={op_name="jit(f)/copy" stack_frame_id=7}')
    assert owners(asked)("relaid") == (7,)


def test_what_nothing_uses_is_of_what_it_was_made_from():
    assert owners(COPY)("back") == (3,)


REWRITTEN = """HloModule jit_f

ENTRY main (x: f32[8]) -> f32[8] {
  %x = f32[8]{0} parameter(0)
  %twice = f32[8]{0} add(%x, %x), metadata={op_name="jit(f)/add" stack_frame_id=1}
  %padded = f32[8]{0} pad(%twice)
  %window = f32[8]{0} reduce-window(%padded)
  %carried = f32[8]{0} add(%window, %padded)
  ROOT %less = f32[8]{0} subtract(%carried, %x), metadata={op_name="jit(f)/sub" stack_frame_id=3}
}
"""


def test_what_was_written_anew_takes_what_stands_around_it():
    of = owners(REWRITTEN, equation("add", 1), equation("cumsum", 2), equation("sub", 3))
    assert [of(name) for name in ("window", "padded", "carried")] == [(2,)] * 3
    assert of("twice") == (1,)
    assert of("less") == (3,)


def test_without_a_primitive_that_it_could_be_it_is_its_users():
    assert owners(REWRITTEN, equation("add", 1))("carried") == (3,)


LOOP = """HloModule jit_f

body (c: (s32[], f32[4])) -> (s32[], f32[4]) {
  %c = (s32[], f32[4]{0}) parameter(0)
  %i = s32[] get-tuple-element(%c), index=0
  %v = f32[4]{0} get-tuple-element(%c), index=1
  %kept = f32[4]{0} copy(%v)
  ROOT %next = (s32[], f32[4]{0}) tuple(%i, %kept)
}

condition (d: (s32[], f32[4])) -> pred[] {
  %d = (s32[], f32[4]{0}) parameter(0)
  ROOT %less = pred[] constant(true)
}

ENTRY main (x: (s32[], f32[4])) -> (s32[], f32[4]) {
  %x = (s32[], f32[4]{0}) parameter(0)
  ROOT %loop = (s32[], f32[4]{0}) while(%x), condition=%condition, body=%body, metadata={stack_frame_id=5}
}
"""


def test_a_copy_that_only_the_loop_needs_is_the_loops():
    assert owners(LOOP)("kept") == (5,)


def test_who_is_not_known_is_nobody():
    assert owners(LOOP.replace("stack_frame_id=5", "frame=5"))("kept") == ()


LIBRARY = """HloModule jit_f

ENTRY main (x: f32[4,4]) -> f32[4,4] {
  %x = f32[4,4]{1,0} parameter(0)
  %call = (f32[4,4]{1,0}, s8[64]{0}) custom-call(%x, %x), custom_call_target="__cublas$lt$matmul"
  %product = f32[4,4]{1,0} get-tuple-element(%call), index=0
  %sliced = f32[2,4]{1,0} slice(%product), slice={[0:2], [0:4]}
  %padded = f32[4,4]{1,0} pad(%sliced, %x), padding=0_2x0_0
  ROOT %summed = f32[4,4]{1,0} add(%padded, %x), metadata={op_name="jit(f)/reduce_sum" stack_frame_id=5}
}
"""


def test_a_call_of_a_library_is_for_what_asks_for_it_and_what_follows_is_not():
    of = owners(LIBRARY, equation("dot_general", 4), equation("cumsum", 5))
    assert of("call") == (4,), "by elimination: no other operation is a product"
    assert of("sliced") == of("padded") == (5,), "what uses it"
