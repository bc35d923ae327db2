"""Rules for the rows of a table, held without pandera where nothing is in doubt."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    import pandera.pandas as pandera


@dataclass(frozen=True)
class RowRules:
    """What each column of a table must be.

    Attributes
    ----------
    required, optional
        Columns that a table must have, and those in which a value may be missing.
    descriptions
        Each column in words, in the table's order.
    expected
        What a value of a column must be, in words for an error message.
    valid
        Per value of a column, whose type is settled, whether it is as ``expected``.
    """

    required: Collection[str]
    optional: Collection[str]
    descriptions: Mapping[str, str]
    expected: Callable[[str], str]
    valid: Callable[[str, pd.Series], pd.Series]

    def first_broken(self, frame: pd.DataFrame) -> tuple[int, str] | None:
        """The first row (0-based, of a frame with the index 0, 1, …) and column that break a rule.

        pandera is imported only where something is in doubt.
        """
        if self.plainly_hold(frame):
            return None
        import pandera.errors

        try:
            self.schema().validate(frame, lazy=True)
        except pandera.errors.SchemaErrors as error:
            first = error.failure_cases.sort_values("index", kind="stable").iloc[0]
            return int(first["index"]), str(first["column"])
        return None

    def plainly_hold(self, frame: pd.DataFrame) -> bool:
        """Whether all of ``frame`` obeys :meth:`schema`, without importing pandera.

        That takes as long as all else that a look at a corpus takes. ``False`` where anything is in
        doubt: then the schema says what is wrong, and where.
        """
        if not set(self.required) <= set(frame.columns):
            return False
        try:
            return all(
                bool((self.valid(c, frame[c]) | (frame[c].isna() & (c in self.optional))).all())
                for c in self.descriptions
                if c in frame
            )
        except (AttributeError, TypeError, ValueError):  # values of another type than the column's
            return False

    def schema(self) -> pandera.DataFrameSchema:
        """The pandera schema of a frame whose columns already have their types.

        Each check is named after what it expects, so that a failure can be told in one sentence. A
        missing value in a required column is reported by the reader, which still knows it from NaN.
        """
        import pandera.pandas as pandera

        return pandera.DataFrameSchema(
            {
                column: pandera.Column(
                    checks=pandera.Check(partial(self.valid, column), error=self.expected(column)),
                    nullable=column in self.optional,
                    required=column in self.required,
                    description=description,
                )
                for column, description in self.descriptions.items()
            }
        )
