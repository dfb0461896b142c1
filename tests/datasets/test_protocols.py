"""Protocols by name, on folders in the layouts of the real sets."""

import re

import numpy as np
import pytest

from skneg.datasets import get_protocol, list_protocols
from skneg.datasets._image_classes import class_list
from skneg.errors import InputError, InputTypeError

IN1K, IN200 = class_list("imagenet1k"), class_list("imagenet200")


def put(root, *places):
    for place in places:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).touch()
    return root


def put_list(root, name, *lines):
    put(root, name)
    (root / name).write_text("".join(f"{line}\n" for line in lines))


@pytest.fixture
def openood(tmp_path):
    """OpenOOD's download in miniature: two classes of ImageNet-200, one other; flat validation images."""
    known, other = IN200[:2], IN1K[0]
    large = "images_largescale"
    put(tmp_path, *(f"{large}/imagenet_1k/train/{w}/{w}_{i}.JPEG" for w in (*known, other) for i in range(2)))
    put(tmp_path, *(f"{large}/imagenet_1k/val/v{i}.JPEG" for i in range(4)))
    put(tmp_path, *(f"{large}/ninco/door way/{i}.jpg" for i in range(3)))
    put(
        tmp_path,
        *(f"{large}/imagenet_v2/{IN1K.index(w)}/{i}.jpeg" for w in (*known, other) for i in range(2)),
    )
    put(tmp_path, *(f"{large}/imagenet_r/{w}/{i}.jpg" for w in known for i in range(2)))
    lists = "benchmark_imglist/imagenet200"
    put_list(
        tmp_path, f"{lists}/test_imagenet200.txt", *(f"imagenet_1k/val/v{i}.JPEG {i % 2}" for i in range(4))
    )
    return tmp_path


def test_all_that_is_there_is_found(openood):
    protocol = get_protocol("openood-imagenet200", str(openood))
    assert [path.name for path in protocol.test.images] == ["v0.JPEG", "v1.JPEG", "v2.JPEG", "v3.JPEG"]
    assert protocol.test.labels.tolist() == [0, 1, 0, 1]
    assert protocol.train.keys.tolist() == [IN200[0]] * 2 + [IN200[1]] * 2  # not the class that is no part
    assert protocol.train.labels.tolist() == [0, 0, 1, 1]
    assert protocol.class_names[:2] == ["goldfish", "great white shark"]
    assert len(protocol.classes) == 200
    near = protocol.near["NINCO"]
    assert (len(near), near.labels.tolist(), near.keys.tolist()) == (3, [-1] * 3, [""] * 3)
    assert protocol.covariate["ImageNet-V2"].labels.tolist() == [0, 0, 1, 1]
    assert protocol.covariate["ImageNet-R"].labels.tolist() == [0, 0, 1, 1]
    assert protocol.ood.keys() == {"SSB-hard", "NINCO", "iNaturalist", "Textures", "OpenImage-O"}


def test_what_is_missing_is_said_and_nothing_else(openood):
    protocol = get_protocol("openood-imagenet200", openood)
    assert protocol.missing == [
        "ssb-hard", "inaturalist-openood", "textures-openood", "openimage-o", "imagenet200-c"
    ]  # fmt: skip
    assert "5 of 10 sets" in repr(protocol)
    with pytest.raises(InputError, match=r"'ssb-hard' is not there: SSB-hard: ssb_hard.*lists/ssb-hard\.txt"):
        _ = protocol.near["SSB-hard"].images
    shown = str(protocol)
    assert re.search(r"imagenet200-test +test +4 +9,000", shown)
    assert "imagenet200-test: 4 of 9,000 images" in shown
    assert re.search(r"ssb-hard +near +- +49,000", shown)
    assert "ssb-hard: missing: SSB-hard" in shown
    assert re.search(r"imagenet200-c +covariate +- +\?", shown)


def test_one_image_too_few_is_said(tmp_path):
    put(tmp_path, *(f"imagenet_v2/{w}/{i}.jpeg" for w in IN200 for i in range(10)))
    (tmp_path / "imagenet_v2" / IN200[7] / "3.jpeg").unlink()
    images = get_protocol("openood-imagenet200", tmp_path).covariate["ImageNet-V2"]
    assert str(images.problem).startswith("1,999 of 2,000 images")
    put(tmp_path, f"imagenet_v2/{IN200[7]}/3.jpeg")
    assert get_protocol("openood-imagenet200", tmp_path).covariate["ImageNet-V2"].problem is None
    assert len(images) == 1999  # it was read, and stays as it was


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("../outside.jpg -1", r"line 2: '\.\./outside\.jpg' leads out"),
        ("ninco/../../outside.jpg -1", "line 2.*leads out"),
        ("/etc/passwd -1", "line 2: '/etc/passwd' leads out"),
        ("ninco/gone.jpg -1", r"line 2: there is no image .*gone\.jpg"),
        ("ninco/a.jpg", "line 2: .*is not 'path label'"),
    ],
)
def test_a_list_that_cannot_be_used_says_where(line, message, tmp_path):
    root = put(tmp_path / "data", "ninco/a.jpg", "../outside.jpg")
    put_list(root, "lists/ninco.txt", "ninco/a.jpg -1", line)
    images = get_protocol("openood-imagenet1k", root).near["NINCO"]
    with pytest.raises(InputError, match=message):
        _ = images.images
    assert re.search(message, str(images.problem))
    put_list(root, "lists/ninco.txt", "ninco/../ninco/a.jpg -1", f"{root}/ninco/a.jpg -1")
    assert len(get_protocol("openood-imagenet1k", root).near["NINCO"]) == 2


@pytest.mark.parametrize("label", ["-1", "200", "n10000000", "9" * 30])
def test_a_label_that_is_no_class_is_refused(label, openood):
    name = "benchmark_imglist/imagenet200/test_imagenet200.txt"
    put_list(openood, name, "imagenet_1k/val/v0.JPEG 0", f"imagenet_1k/val/v1.JPEG {label}")
    with pytest.raises(InputError, match=f"{label}|1 classes that are not known"):
        _ = get_protocol("openood-imagenet200", openood).test.labels


def test_a_class_that_was_not_trained_is_refused(tmp_path):
    put(tmp_path, "imagenet/train/cat/a.jpg", "imagenet/val/cat/a.jpg", "imagenet/val/dog/a.jpg")
    protocol = get_protocol("imagenet-four-ood", tmp_path)
    assert protocol.classes == ["cat"]
    with pytest.raises(InputError, match=r"imagenet/val'.* \['dog'\]"):
        _ = protocol.test.images


def test_without_training_images_the_test_images_say_which_classes_there_are(tmp_path):
    put(tmp_path, *(f"imagenet/val/{w}/a.JPEG" for w in IN1K))
    protocol = get_protocol("openood-imagenet1k", tmp_path)
    assert protocol.test.labels.tolist() == list(range(1000))
    assert (protocol.class_names[0], len(set(protocol.class_names))) == ("tench", 1000)
    # A list of numbers means the same classes.
    put_list(
        tmp_path, "lists/imagenet-val.txt", *(f"imagenet/val/{w}/a.JPEG {i}" for i, w in enumerate(IN1K))
    )
    again = get_protocol("openood-imagenet1k", tmp_path)
    assert (again.test.keys == protocol.test.keys).all()


def test_hard_splits(tmp_path):
    put(tmp_path, *(f"imagenet/{part}/{w}/a.JPEG" for part in ("train", "val") for w in IN1K))
    fourth = get_protocol("imagenet-split-4", tmp_path)
    assert (len(fourth.train), len(fourth.test), len(fourth.near["Split-4"])) == (100, 100, 900)
    assert [one.expected for one in fourth.sets] == [None, 5000, 45_000]
    assert str(fourth.test.problem).startswith("100 of 5,000 images")
    assert fourth.classes == list(IN1K[:100])
    assert fourth.near["Split-4"].labels.tolist() == [-1] * 900
    assert set(fourth.near["Split-4"].keys) == set(IN1K[100:])
    second = get_protocol("imagenet-split-2", tmp_path)
    assert second.missing == ["splits_wnids.json"]
    assert "splits_wnids.json" in str(second)
    put_list(
        tmp_path,
        "p2_test.csv",
        f"val/{IN1K[7]}/a.JPEG,0",
        f"val/{IN1K[3]}/a.JPEG,1",
        f"val/{IN1K[9]}/a.JPEG,-2",
    )
    second = get_protocol("imagenet-split-2", tmp_path)
    assert (second.missing, second.classes) == ([], [IN1K[3], IN1K[7]])
    assert second.test.labels.tolist() == [0, 1]
    assert second.near["Split-2"].keys.tolist() == [IN1K[9]]


def test_cifar_from_folders(tmp_path):
    put(tmp_path, "images_classic/cifar10/train/ship/a.png", "images_classic/cifar10/test/cat/a.png")
    protocol = get_protocol("openood-cifar10", tmp_path)
    assert (protocol.train.labels.tolist(), protocol.test.labels.tolist()) == ([8], [3])
    assert protocol.class_names[8] == "ship"
    put(tmp_path, "images_classic/cifar10/test/okapi/a.png")
    with pytest.raises(InputError, match=r"\['okapi'\]"):
        _ = get_protocol("openood-cifar10", tmp_path).test.images


def test_a_folder_that_holds_something_else_is_not_taken_for_cifar(tmp_path):
    put(tmp_path, "cifar10/test/cat/a.png", "cifar10/readme.txt")
    protocol = get_protocol("openood-cifar10", tmp_path)
    assert "cifar10-train" in protocol.missing
    assert "cifar10-test" not in protocol.missing


def test_a_name_or_a_root_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="Did you mean 'openood-imagenet1k'"):
        get_protocol("openood-imagenet", tmp_path)
    for name in (None, ["openood-cifar10"]):
        with pytest.raises(InputError, match="There is no protocol"):
            get_protocol(name, tmp_path)
    with pytest.raises(InputError, match="is no folder"):
        get_protocol("openood-cifar10", tmp_path / "gone")
    with pytest.raises(InputTypeError, match="root is None"):
        get_protocol("openood-cifar10", None)


def test_every_protocol_can_be_asked_for(tmp_path):
    for name, title in list_protocols().items():
        protocol = get_protocol(name, tmp_path)
        assert (protocol.name, protocol.title) == (name, title)
        assert protocol.train.name in protocol.missing
        assert np.isin([one.name for one in protocol.sets if one.place is None], protocol.missing).all()
        assert title in str(protocol)
