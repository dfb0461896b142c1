"""``save`` and ``load`` of the detectors, and what a detector may say about how it is stored."""

from __future__ import annotations

import os
from typing import Any, ClassVar, Self


class SavingMixin:
    """Saves to and loads from one file.

    A file holds constructor parameters and what `fit` has learned. A detector whose fitted attributes are
    more than plain values and arrays says in `_stored_state` and `_restore_state` how they become such.
    """

    # Fitted attributes that `_remake` makes from the others, so that files need not hold them.
    _remade: ClassVar[tuple[str, ...]] = ()

    # Hashes of the parameters that they were made with.
    _made_from: dict[str, str]

    def save(self, path: str | os.PathLike) -> None:
        """Write the fitted detector to one file, without its backbone and without pickle.

        The file is written in whole or not at all: where that fails, what it held before stays.

        Parameters
        ----------
        path : str or path
            By convention ends in ``.skneg``.

        Raises
        ------
        PersistenceError
            If the file cannot be written, a parameter is something that a file cannot hold, or parameters
            changed since `fit` in such a way that the file would give another detector.
        InputError
            If a parameter changed since `fit` has a value that is not usable.
        InputTypeError
            If `path` is not a path.
        NotFittedError
            If the detector is not fitted.
        """
        from ._detectors import save

        save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike, **parameters: Any) -> Self:
        """Load a detector of this class; see `skneg.load`, which takes files of any.

        Parameters
        ----------
        path : str or path
        **parameters
            Constructor parameters to replace, such as ``device="cpu"``.

        Returns
        -------
        detector

        Raises
        ------
        PersistenceError
            If the file holds another class, is damaged, of a later format or not of skneg.
        BackboneError
            If the backbone cannot be had, or has other weights than the recorded ones.
        InputTypeError
            If `path` is not a path.
        """
        from ._detectors import load_as

        return load_as(cls, path, parameters)

    def _note_parameters(self) -> None:
        """Note what `_remade` is made from; `save` refuses where that is no longer so."""
        from ._remaking import digests_of_parameters

        self._made_from = digests_of_parameters(self)

    def _stored_state(self) -> dict[str, Any]:
        """Fitted attributes as values that files can hold."""
        left_out = {*self.get_params(deep=False), *self._remade, "_made_from"}  # type: ignore[attr-defined]
        return {name: value for name, value in vars(self).items() if name not in left_out}

    def _restore_state(self, state: dict[str, Any]) -> None:
        """Set what `_stored_state` gave."""
        vars(self).update(state)

    def _remake(self) -> None:
        """Make the attributes of `_remade`."""

    def _weight_files(self) -> dict[str, Any]:
        """Parameters that name files with weights, besides the backbone's; with their paths."""
        return {}
