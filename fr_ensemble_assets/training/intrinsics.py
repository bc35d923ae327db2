"""What numba has no word for: two instructions that the kernel is built with, as LLVM code.

Numba's cache of the compiled kernel looks at ``kernel.py`` alone: touch that after a change here.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

#: Rows and columns of the squares in which a matrix is transposed: one vector register a row.
TILE = 8


@intrinsic
def float_of_bits(typing_context: Any, bits: Any) -> Any:  # noqa: ARG001 (numba's protocol)
    """The float32 with these 32 bits; numba has no such cast for scalars."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

    return types.float32(types.int32), generate


@intrinsic
def transpose_tile(typing_context: Any, matrix: Any, out: Any, row: Any, column: Any) -> Any:  # noqa: ARG001 (numba's protocol)
    """``out[column:column + 8, row:row + 8] = matrix[row:row + 8, column:column + 8].T``.

    Loops make the compiler store element by element, which costs as much as a third of the product
    that follows. Here the eight rows are loaded as vectors and shuffled: interleaving row k with
    row k + 4 three times over moves element (i, j) to (j, i).
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        matrix_value, out_value, row_value, column_value = arguments
        vector = ir.VectorType(ir.FloatType(), TILE)
        lanes = ir.VectorType(ir.IntType(32), TILE)

        def address(array_type: Any, array: Any, first: Any, second: Any, nth: int) -> Any:
            made = context.make_array(array_type)(context, builder, array)
            first = builder.add(first, context.get_constant(types.intp, nth))
            item: Any = cgutils.get_item_pointer(  # type: ignore[no-untyped-call]
                context, builder, array_type, made, [first, second]
            )
            return builder.bitcast(item, vector.as_pointer())

        def interleaved(first: int) -> Any:
            """The lanes of two rows in turn, from lane ``first`` of both on."""
            return ir.Constant(
                lanes, [k + other for k in range(first, first + TILE // 2) for other in (0, TILE)]
            )

        halves = interleaved(0), interleaved(TILE // 2)
        rows = [
            builder.load(address(matrix, matrix_value, row_value, column_value, nth), align=4)
            for nth in range(TILE)
        ]
        for _ in range(TILE.bit_length() - 1):
            rows = [
                builder.shuffle_vector(rows[k // 2], rows[k // 2 + TILE // 2], halves[k % 2])
                for k in range(TILE)
            ]
        for nth in range(TILE):
            builder.store(rows[nth], address(out, out_value, column_value, row_value, nth), align=4)
        return context.get_dummy_value()

    return types.void(matrix, out, types.intp, types.intp), generate
