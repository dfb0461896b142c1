from skneg.backbone._imagenet_names import imagenet_names


def test_there_is_a_name_for_each_class_of_imagenet():
    names = imagenet_names()
    assert len(names) == 1000
    assert (names[0], names[999]) == ("tench", "toilet paper")
