"""`predict`: a job of Ray Data that reads images, answers, writes Parquet, and goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from numbers import Integral
from pathlib import Path
from typing import Any

from sklearn.utils.validation import check_is_fitted

from .._files import with_home
from .._json import parse_json
from .._utils import check_at_least, require
from ..datasets import list_images
from ..errors import InputError
from ..inspection._explain import one_detector
from ..persistence import load
from ._worker import COLUMNS, Worker

_WAY_OUT = "pip install 'skneg[ray]'"
_LARGEST_JOB = 2**12  # bytes of the file that says whose answers they are
_OTHERS = 2  # CPUs that Ray Data needs beside workers: to read or write, and to leave out what is done


def predict(
    detector: Any,
    source: str | os.PathLike,
    out: str | os.PathLike,
    *,
    column: str | None = None,
    key: str | None = None,
    workers: int = 2,
    num_cpus: float = 1,
    num_gpus: float = 0,
    rows_per_file: int = 4096,
) -> None:
    """Answers to all images of a folder, or to all rows of Parquet files, by workers on many machines.

    Ray Data reads, hands blocks of rows to workers, writes, and starts a worker again that has died; each
    worker has one copy of the model. An image that cannot be read gets a row that says why. Called again
    with the same `out`, it does only what is not written yet. docs/many-machines.md has the lines for a
    cluster.

    Parameters
    ----------
    detector : fitted detector, or path of its file
        Or a fitted Pipeline that ends in one, or a search. Each machine must be able to load its model.
    source : path
        A folder of images, at any depth; with `column`, a Parquet file, a folder of them, or an address such
        as ``s3://bucket/folder``. All machines must see it under the same path.
    out : path
        A folder, or an address. ``pandas.read_parquet(out)`` reads the answers: the key, ``label``,
        ``score``, ``decision``, ``p_value``, ``nearest_class``, ``posterior`` and ``error``, as in
        `skneg.streams.Predictions`, in no certain order; where there is an error, all else is empty.
    column : str, optional
        The column of Parquet files with paths, with encoded images as bytes, or with embeddings as lists of
        floats. None: `source` is a folder of images.
    key : str, optional
        The column that names a row, different in each: what is written again is told by it. By default
        `column`, where it holds paths; ``"path"`` for a folder.
    workers : int, default=2
        Processes with a copy of the model. Together they must leave two CPUs for reading and writing.
    num_cpus, num_gpus : float, default=1 and 0
        What each worker takes; torch uses as many threads. Without a GPU of its own it computes on CPUs.
    rows_per_file : int, default=4096
        Rows that a worker gets at a time, and of a written file: what is lost when it dies.

    Raises
    ------
    InputError
        If `out` holds answers of another detector or other columns, the cluster is too small, or there is no
        such column.
    MissingDependencyError
        If Ray is not installed.

    See Also
    --------
    skneg.streams.predict_stream : The same in one process.

    Examples
    --------
    >>> import ray  # doctest: +SKIP
    >>> from skneg.distributed import predict
    >>> ray.init(num_cpus=4)  # doctest: +SKIP
    >>> predict("animals.skneg", "images/", "answers/", workers=2)  # doctest: +SKIP
    """
    ray, data = (require(name, "skneg.distributed", _WAY_OUT) for name in ("ray", "ray.data"))
    from pyarrow.dataset import dataset
    from pyarrow.fs import FileSystem
    from ray.data.checkpoint import CheckpointConfig

    for name, value in (("workers", workers), ("rows_per_file", rows_per_file)):
        check_at_least(name, value, 1, Integral)
    if isinstance(detector, str | os.PathLike):
        detector = load(detector)
    inner, _ = one_detector(detector, "skneg.distributed.predict")
    check_is_fitted(inner)
    if not ray.is_initialized():
        ray.init()
    _check_cluster(ray.cluster_resources(), workers * num_cpus, workers * num_gpus)
    files, folder = FileSystem.from_uri(_address(out))
    files.create_dir(f"{folder}/_job")
    if column is None:
        column = key = "path"
        read = {"paths": f"{folder}/_job/images.parquet", "filesystem": files}
        _write_paths(source, read["paths"], files)
    else:
        read = dict(zip(("filesystem", "paths"), FileSystem.from_uri(_address(source)), strict=True))
    key = _key(dataset(read["paths"], filesystem=read["filesystem"], format="parquet").schema, column, key)
    _check_same(files, f"{folder}/_job/job.json", inner, column, key)
    context = data.DataContext.get_current().copy()
    context.checkpoint_config = CheckpointConfig(
        key, f"{folder}/_job/done", delete_checkpoint_on_success=False, override_filesystem=files
    )
    with data.DataContext.current(context):
        rows = data.read_parquet(**read).select_columns(list({key, column}))
        rows.repartition(target_num_rows_per_block=rows_per_file).map_batches(
            Worker,
            fn_constructor_args=(detector, column, key, num_gpus > 0),
            batch_size=None,
            batch_format="pyarrow",
            compute=data.ActorPoolStrategy(size=workers),
            num_cpus=num_cpus,
            num_gpus=num_gpus,
        ).write_parquet(f"{folder}/rows", filesystem=files)


def _address(place: str | os.PathLike) -> str:
    """A URI as it is, a path from the root."""
    return str(place) if "://" in str(place) else str(Path(with_home(place)).absolute())


def _check_cluster(has: Mapping[str, float], cpus: float, gpus: float) -> None:
    """Refuse workers that would leave nothing for reading and writing, and wait for that for ever."""
    need = cpus + _OTHERS
    if need > has.get("CPU", 0) or gpus > has.get("GPU", 0):
        raise InputError(
            f"the workers need {cpus:g} CPUs and {gpus:g} GPUs, reading and writing {_OTHERS} CPUs, and Ray "
            f"has {has.get('CPU', 0):g} and {has.get('GPU', 0):g}: give fewer workers or a smaller num_cpus, "
            f"or, on one machine, call ray.init(num_cpus={need:g}) before, since these {_OTHERS} have little "
            "to do."
        )


def _write_paths(source: str | os.PathLike, file: str, files: Any) -> None:
    """A folder of images as a table of paths, which is read as any other table is."""
    import pyarrow as pa
    from pyarrow.parquet import write_table

    paths = [str(path.absolute()) for path in list_images(source)]
    write_table(pa.table({"path": pa.array(paths, pa.string())}), file, filesystem=files)


def _key(schema: Any, column: str, key: str | None) -> str:
    """The column that names a row."""
    if key is None and column in schema.names and str(schema.field(column).type).endswith("string"):
        key = column
    if key is None and column in schema.names:
        raise InputError(
            f"column={column!r} holds {schema.field(column).type}, which cannot name a row: give key=, a "
            f"column with another value in each row, of {schema.names[:20]}."
        )
    for name, value in (("column", column), ("key", key)):
        if value not in schema.names:
            raise InputError(f"{name}={value!r} is no column of the source, which has {schema.names[:20]}.")
    if key in COLUMNS:
        raise InputError(f"key={key!r} is also a column of the answers: give the column another name.")
    return str(key)


def _check_same(files: Any, file: str, detector: Any, column: str, key: str) -> None:
    """Refuse to add to answers of another detector; `file` says whose they are."""
    known = [detector.classes_.tolist(), detector.calibration_scores_.tolist(), float(detector.offset_)]
    job = {
        "detector": hashlib.sha256(json.dumps(known).encode()).hexdigest(),
        "column": column,
        "key": key,
    }
    if files.get_file_info(file).is_file:
        with files.open_input_stream(file) as stream:
            try:
                before = parse_json(stream.read(_LARGEST_JOB), file)
            except ValueError as error:
                raise InputError(f"{error}: take another folder as out, or delete that one.") from error
        before = before if isinstance(before, dict) else {}
        if differ := [name for name in job if job[name] != before.get(name)]:
            raise InputError(
                f"{file} says that the answers there are of another {' and another '.join(differ)}: take "
                "another folder as out, or delete that one."
            )
        return
    with files.open_output_stream(file) as stream:
        stream.write(json.dumps(job).encode())
