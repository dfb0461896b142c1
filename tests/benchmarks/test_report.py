"""The tables: means, the paper's column, corrections and reasons."""

from skneg.benchmarks._protocols import find_protocol
from skneg.benchmarks._report import make_report

FACTS = {
    "model": "ViT-B-16",
    "pretrained": "laion2b_s34b_b88k",
    "precision": "auto",
    "shots": 16,
    "versions": {"skneg": "1", "torch": "2", "open_clip": "3"},
}
FAR = ("iNaturalist", "SUN", "Places", "Textures")


def row(detector, dataset, seed, auroc, fpr95, experiment="ImageNet-1k"):
    return {
        "experiment": experiment, "detector": detector, "dataset": dataset, "seed": seed, "auroc": auroc,
        "fpr95": fpr95, "accuracy": 70.0, "fit_s": 1.0, "score_s_per_1000": 0.5, "weights": "abc" * 20,
        **FACTS,
    }  # fmt: skip


def report(rows, protocol="imagenet-far"):
    return make_report(find_protocol(protocol), rows, "python -m skneg.benchmarks imagenet-far")


def line_of(text, name):
    return [
        cell.strip() for cell in next(x for x in text.split("\n") if x.startswith(f"| {name} ")).split("|")
    ]


def test_means_and_deviations_over_seeds():
    rows = [
        row("NegPromptDetector", name, seed, 90 + i + 2 * seed, 10.0)
        for i, name in enumerate(FAR)
        for seed in range(2)
    ]
    cells = line_of(report(rows), "NegPromptDetector")
    assert cells[2] == "2"
    assert cells[3] == "91.00 ± 1.41 / 10.0 ± 0.0"
    assert "92.50 ± 1.41 / 10.0 ± 0.0" in cells  # the average of 91 .. 94, and of each seed's


def test_one_run_has_no_deviation():
    assert "90.00 / 10.0" in line_of(report([row("MCMDetector", FAR[0], 0, 90.0, 10.0)]), "MCMDetector")


def test_the_accuracy_s_deviation_is_over_seeds_not_over_experiments():
    rows = [
        {**row("NegPromptDetector", f"Split-{i}", seed, 90.0, 10.0, f"Split-{i}"), "accuracy": 50.0 + 10 * i}
        for i in range(1, 5)
        for seed in range(2)
    ]
    assert "75.0 ± 0.0" in line_of(report(rows, "imagenet-hard"), "NegPromptDetector")


def test_detectors_stand_in_the_order_of_the_registry():
    rows = [row(name, "SUN", 0, 90.0, 10.0) for name in ("KNNDetector", "NegPromptDetector", "MCMDetector")]
    text = report(rows)
    places = [text.index(f"| {name} |") for name in ("NegPromptDetector", "MCMDetector", "KNNDetector")]
    assert places == sorted(places)


def test_recipes_are_rows_of_their_own_in_the_ablation():
    rows = [
        row(name, "SUN", 0, a, 10.0, "1 negative")
        for name, a in (("NegPromptDetector", 90.0), ("NegPromptDetector.paper", 80.0))
    ]
    text = report(rows, "ablation")
    assert "90.00 / 10.0" in line_of(text, "1 negative")
    assert "80.00 / 10.0" in line_of(text, "1 negative, paper")


def test_the_paper_s_figures_stand_beside_ours():
    rows = [row("NegPromptDetector", name, 0, 90.0, 10.0) for name in FAR]
    rows += [row("KNNDetector", name, 0, 90.0, 10.0) for name in FAR]
    rows += [row("NegPromptDetector.paper", name, 0, 90.0, 10.0) for name in FAR]
    text = report(rows)
    printed = {"98.73 / 6.3", "95.55 / 22.9", "93.34 / 27.6", "91.60 / 35.2", "94.81 / 23.01"}
    assert printed <= set(line_of(text, "NegPromptDetector"))
    assert printed <= set(line_of(text, "NegPromptDetector.paper"))
    assert printed.isdisjoint(line_of(text, "KNNDetector"))


def test_a_wrong_average_of_the_paper_is_corrected_and_marked():
    text = report([row("CoOpDetector", name, 0, 90.0, 10.0) for name in FAR])
    assert "91.78 / 38.94\\*" in line_of(text, "CoOpDetector")
    assert "printed 51.68; its 4 entries average 38.94" in text


def test_open_vocabulary_rows_have_the_ten_percent_figures():
    rows = [row("NegPromptDetector", "Split-1", 0, 90.0, 10.0, "Split-1 (10 %)")]
    rows += [row("NegPromptDetector", "SUN", 0, 90.0, 10.0, "ImageNet-1k (10 %)")]
    text = report(rows, "open-vocabulary")
    assert "99.66 / 1.4" in text
    assert "93.70 / 26.9" in text


def test_reasons_stand_in_a_table_of_their_own():
    refused = {
        "experiment": "ImageNet-1k", "detector": "EOEDetector", "dataset": None, "seed": None,
        "reason": "needs names | of\nthings",
    }  # fmt: skip
    text = report([row("MCMDetector", "SUN", 0, 90.0, 10.0), refused])
    assert "| EOEDetector | ImageNet-1k | needs names / of things |" in text


def test_a_refusal_on_one_seed_is_listed_beside_the_figures_of_the_others():
    refused = {
        "experiment": "ImageNet-1k", "detector": "LSNDetector", "dataset": None, "seed": 1,
        "reason": "diverged",
    }  # fmt: skip
    text = report([row("LSNDetector", "SUN", 0, 90.0, 10.0), refused])
    assert "| LSNDetector | ImageNet-1k (seed 1) | diverged |" in text
    text = report([refused, {**refused, "seed": 0}])
    assert "| LSNDetector | ImageNet-1k | diverged |" in text


def test_weights_are_those_of_the_rows():
    rows = [
        {**row("NegPromptDetector", "SUN", 0, 90.0, 10.0, name), "model": model, "pretrained": tag}
        for name, model, tag in (("RN50 (openai)", "RN50", "openai"), ("1 negative", "skneg-tiny", None))
    ]
    text = report(rows, "ablation")
    assert "RN50, openai abcabcabcabcabca; skneg-tiny abcabcabcabcabca; precision" in text
    assert "ViT-B-16, laion2b" not in text


def test_a_table_says_how_it_was_made():
    text = report([row("MCMDetector", "SUN", 0, 90.0, 10.0)])
    for fact in (
        "    python -m skneg.benchmarks imagenet-far", "ViT-B-16, laion2b_s34b_b88k abcabcabcabcabca",
        "16 training images a class", "ID positive", "skneg 1, torch 2, open_clip 3",
    ):  # fmt: skip
        assert fact in text
