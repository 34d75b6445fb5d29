"""Who belongs to whom: the pairing with the largest total gain. O(n³) for each group that can pair at all."""

from __future__ import annotations

from collections.abc import Mapping

Pair = tuple[int, int]


def assign(gains: Mapping[Pair, float]) -> list[Pair]:
    """The pairs (row, column), each row and each column in one at most, whose gains have the largest sum; in order.

    Pairs that are not in `gains`, or gain nothing, are never made. In pictures few things are near to several others:
    the problem falls apart into small ones, which are solved one by one.
    """
    useful = {pair: gain for pair, gain in gains.items() if gain > 0}
    pairs: list[Pair] = []
    for group in _groups(useful):
        if len(group) == 1:
            pairs += group
        else:
            pairs += _best(group, useful)
    return sorted(pairs)


def _groups(pairs: Mapping[Pair, float]) -> list[list[Pair]]:
    """Pairs that share rows or columns, directly or through others, together."""
    of_row: dict[int, list[Pair]] = {}
    of_column: dict[int, list[Pair]] = {}
    for pair in pairs:
        of_row.setdefault(pair[0], []).append(pair)
        of_column.setdefault(pair[1], []).append(pair)
    groups: list[list[Pair]] = []
    taken: set[Pair] = set()
    for first in pairs:
        if first in taken:
            continue
        taken.add(first)
        group, at = [first], 0
        while at < len(group):
            row, column = group[at]
            at += 1
            for near in (*of_row.pop(row, ()), *of_column.pop(column, ())):
                if near not in taken:
                    taken.add(near)
                    group.append(near)
        groups.append(group)
    return groups


def _best(group: list[Pair], gains: Mapping[Pair, float]) -> list[Pair]:
    rows = sorted({row for row, _ in group})
    columns = sorted({column for _, column in group})
    # A row gets a column in any case: one that it cannot have gains nothing, which is the same as having none.
    turned = len(rows) > len(columns)
    if turned:
        cost = [[-gains.get((row, column), 0.0) for row in rows] for column in columns]
        found = [(rows[j], columns[i]) for i, j in enumerate(_cheapest(cost))]
    else:
        cost = [[-gains.get((row, column), 0.0) for column in columns] for row in rows]
        found = [(rows[i], columns[j]) for i, j in enumerate(_cheapest(cost))]
    return [pair for pair in found if pair in gains]


def _cheapest(cost: list[list[float]]) -> list[int]:
    """A column for each row (no more rows than columns) with the least sum: the Hungarian method by shortest augmenting
    paths. Rows come one by one; each moves those before it along the cheapest chain that ends at a free column.
    """
    height, width = len(cost), len(cost[0])
    infinite = float("inf")
    row_price = [0.0] * height
    # Column `width` stands for "the row that is being placed".
    column_price = [0.0] * (width + 1)
    row_of = [-1] * (width + 1)
    for placed in range(height):
        row_of[width] = placed
        column = width
        least = [infinite] * width
        came_from = [width] * width
        reached = [False] * (width + 1)
        while row_of[column] != -1:
            reached[column] = True
            row = row_of[column]
            step, nearest = infinite, -1
            for other in range(width):
                if reached[other]:
                    continue
                reduced = cost[row][other] - row_price[row] - column_price[other]
                if reduced < least[other]:
                    least[other] = reduced
                    came_from[other] = column
                if least[other] < step:
                    step, nearest = least[other], other
            for other in range(width + 1):
                if reached[other]:
                    row_price[row_of[other]] += step
                    column_price[other] -= step
                elif other < width:
                    least[other] -= step
            column = nearest
        while column != width:
            before = came_from[column]
            row_of[column] = row_of[before]
            column = before
    columns = [0] * height
    for column in range(width):
        if row_of[column] != -1:
            columns[row_of[column]] = column
    return columns
