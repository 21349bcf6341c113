"""What doors describe their answers with: flask-restx's models, each of which there is one of.

flask-restx copies all that is told of a door, with every model in it, each
time another decorator tells more: a fifth of the time a start took. A model is
not changed once it is declared, so it stands for itself in such a copy.
"""

from typing import Self

import flask_restx


class Model(flask_restx.Model):  # noqa: TID251  # this is the one to take instead
    """A JSON object as the description shows it; never changed once declared."""

    def __deepcopy__(self, memo: object) -> Self:
        return self
