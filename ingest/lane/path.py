"""Kernels that take an event apart by the trail of one before it: what stands between values mostly repeats.

Trails of a body are kept as a tree of steps. A node's step leads to a value; where that ends, one of the node's
children has to fit. Whatever the values are, bytes that lie on a way to the tree's leaves are an event of the plainest
form, with the fields and properties of the event that left the trail.
"""

from __future__ import annotations

from core.compiled import lean
from ingest.lane.read import (
    CELLS,
    FIRST_CELL,
    KIND,
    KIND_CELL,
    KIND_END,
    KIND_OTHER,
    NAME,
    SEEN,
    STEP_NAME,
    STEP_NAME_SIZE,
    STEP_SIZE,
    STEP_START,
    STEPS,
    TRAIL_MAX,
    Spans,
    read_cell,
    scalar_end,
)
from ingest.lane.text import QUOTE, Bytes, U, byte_at, is_same, skip_spaces, text_end

# A node has what a step has, then its first child and its next sibling; a leaf has what the event's name told.
CHILD, SIBLING, LEAF_SEEN, LEAF_CELLS, LEAF_CODE = 5, 6, 7, 8, 9
NODE = 10
# The root is the first node, and holds how many there are.
NODES = 0
NODES_MAX = 1024


@lean
def read_alike(
    body: Bytes, at: int, marks: Spans, event: int, cells: Spans, first: int, tree: Spans
) -> tuple[int, int]:
    """Take the object at ``at`` apart if it is like an earlier one: where it ends and its leaf, or -1."""
    row, cell = U(event), first
    node = int(tree[0, CHILD])
    for i in range(FIRST_CELL):
        marks[row, U(i)] = 0
    while node > 0:
        here = U(node)
        size = int(tree[here, STEP_SIZE])
        if not is_same(body, at, body, int(tree[here, STEP_START]), size):
            node = int(tree[here, SIBLING])
            continue
        kind, value = int(tree[here, KIND]), skip_spaces(body, at + size)
        if kind == KIND_CELL:
            cells[U(cell), NAME] = at + tree[here, STEP_NAME]
            cells[U(cell), NAME + 1] = tree[here, STEP_NAME_SIZE]
            at = read_cell(body, value, cells, cell)
            cell += 1
        elif kind == KIND_END:
            marks[row, FIRST_CELL], marks[row, CELLS] = first, tree[here, LEAF_CELLS]
            marks[row, SEEN] = tree[here, LEAF_SEEN]
            return at + size, node
        elif byte_at(body, value) == QUOTE:
            at = text_end(body, value + 1)
            if kind != KIND_OTHER:
                marks[row, U(2 * kind)], marks[row, U(2 * kind + 1)] = value + 1, at - value - 1
            at += 1 if at >= 0 else 0
        else:
            at = scalar_end(body, value) if kind == KIND_OTHER else -1
        if at < 0:
            return -1, 0
        at, node = skip_spaces(body, at), int(tree[here, CHILD])
    return -1, 0


@lean
def learn(body: Bytes, trail: Spans, tree: Spans, marks: Spans, event: int, code: int) -> int:
    """Add an event's trail to the tree; its leaf, or 0 when there is no room."""
    steps, parent = int(trail[TRAIL_MAX, STEPS]), 0
    if steps > TRAIL_MAX:
        return 0
    for i in range(steps):
        start, size = int(trail[i, STEP_START]), int(trail[i, STEP_SIZE])
        node = int(tree[parent, CHILD])
        while node > 0 and not (
            tree[node, STEP_SIZE] == size and is_same(body, start, body, int(tree[node, STEP_START]), size)
        ):
            node = int(tree[node, SIBLING])
        if node == 0:
            node = int(tree[0, NODES]) + 1
            if node >= NODES_MAX:
                return 0
            tree[0, NODES] = node
            for j in range(CHILD):
                tree[node, j] = trail[i, j]
            tree[node, CHILD], tree[node, SIBLING] = 0, tree[parent, CHILD]
            tree[parent, CHILD] = node
        parent = node
    tree[parent, LEAF_SEEN], tree[parent, LEAF_CELLS] = marks[event, SEEN], marks[event, CELLS]
    tree[parent, LEAF_CODE] = code
    return parent
