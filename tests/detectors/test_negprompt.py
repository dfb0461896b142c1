import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.sparse import csr_matrix
from scipy.special import logsumexp, softmax
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

import skneg
from skneg import CalibrationWarning, CLIPImageEncoder, MCMDetector, NegPromptDetector, SknegError, Words
from skneg.datasets import make_scenes
from skneg.errors import ImageError, InputError, VocabularyError
from skneg.evidence import PairedEvidence
from skneg.metrics import auroc
from skneg.prompts import encode_prompts

from ..backbone.test_timm import saved
from ..conftest import KNOWN, STRANGE, with_recipe


def quick(**parameters) -> NegPromptDetector:
    """A detector that trains for a second."""
    defaults = {"model": "skneg-tiny", "positive_steps": 15, "negative_steps": 15, "random_state": 0}
    return with_recipe(NegPromptDetector, **{**defaults, **parameters})


@pytest.fixture(scope="module")
def fitted(embedded):
    return quick().fit(*embedded)


class TestFitting:
    def test_learned_attributes_have_their_shapes(self, fitted, embedded):
        k, p, d = len(KNOWN), 2, 128
        assert fitted.classes_.tolist() == sorted(KNOWN)
        assert fitted.class_names_ == sorted(KNOWN)
        assert fitted.text_bank_.positive.shape == (k, d)
        assert fitted.text_bank_.negative.shape == (k * p, d)
        assert fitted.positive_context_.shape == (4, 64)
        assert fitted.negative_context_.shape == (p, 4, 64)
        assert fitted.n_features_in_ == d
        assert isinstance(fitted.offset_, float)
        for name in ("positive/cross_entropy", "negative/nis", "negative/npd", "negative/nnd"):
            assert fitted.history_[name].shape == (15,)

    def test_bank_is_class_major(self, fitted):
        import torch

        tower = fitted._backbone().text_tower
        contexts = torch.from_numpy(fitted.negative_context_)
        features = encode_prompts(tower, contexts, fitted.class_names_, normalize=True).numpy()
        for i in range(len(KNOWN)):
            for j in range(2):
                np.testing.assert_allclose(fitted.text_bank_.negative[2 * i + j], features[j, i], atol=1e-6)

    def test_training_lowers_each_stage_s_loss(self, fitted):
        for stage in ("positive", "negative"):
            history = fitted.history_[f"{stage}/total"]
            assert history[-1] < history[0]

    def test_positives_are_frozen_in_the_second_stage(self, embedded, fitted):
        longer = quick(negative_steps=30).fit(*embedded)
        np.testing.assert_array_equal(longer.positive_context_, fitted.positive_context_)
        assert (longer.negative_context_ != fitted.negative_context_).any()

    def test_zero_positive_steps_keep_the_hand_written_prompt(self, embedded):
        kept = quick(positive_steps=0).fit(*embedded)
        zero_shot = MCMDetector(model="skneg-tiny").fit(*embedded)
        np.testing.assert_allclose(kept.text_bank_.positive, zero_shot.text_bank_.positive, atol=1e-5)

    def test_same_seed_same_bits(self, fitted, embedded):
        again = quick().fit(*embedded)
        np.testing.assert_array_equal(again.score_samples(embedded[0]), fitted.score_samples(embedded[0]))
        other = quick(random_state=1).fit(*embedded)
        assert (other.score_samples(embedded[0]) != fitted.score_samples(embedded[0])).any()

    def test_mini_batches_see_every_row(self, embedded):
        detector = quick(train_batch_size=32).fit(*embedded)
        assert detector.history_["negative/nis"].shape == (15,)

    @pytest.mark.parametrize("options", [{"one_stage": True}, {"nis_over": "all"}, {"n_negative": 1}])
    def test_variants_learn(self, embedded, strange_scenes, options):
        detector = quick(**options).fit(*embedded)
        strange = detector.score_samples(strange_scenes)
        assert auroc(detector.score_samples(embedded[0]), strange) > 0.6

    def test_random_contexts(self, embedded):
        detector = quick(context_init=None, n_ctx=3).fit(*embedded)
        assert detector.positive_context_.shape == (3, 64)

    def test_fit_leaves_parameters_alone(self, embedded):
        detector = quick(class_names=None)
        before = repr(detector.get_params())
        detector.fit(*embedded, class_names={name: f"{name} shape" for name in KNOWN})
        assert repr(detector.get_params()) == before
        assert detector.class_names_[0] == "anchor shape"

    def test_clone_and_refit_forget_the_first_fit(self, embedded):
        X, y = embedded
        detector = quick().fit(X, y).set_vocabulary(STRANGE)
        assert not hasattr(clone(detector), "classes_")
        assert detector.fit(X, y).classes_.tolist() == sorted(KNOWN)

    def test_rows_of_the_unknown_label_are_not_trained_on(self, embedded, fitted):
        X, y = embedded
        rng = np.random.default_rng(0)
        noise = rng.normal(size=(30, X.shape[1])).astype(np.float32)
        mixed = quick().fit(np.concatenate([X, noise]), np.concatenate([y, ["unknown"] * 30]))
        np.testing.assert_array_equal(mixed.score_samples(X), fitted.score_samples(X))


class TestPredicting:
    def test_unknown_where_the_decision_is_negative(self, fitted, embedded, strange_scenes):
        X = np.concatenate([embedded[0], CLIPImageEncoder(model="skneg-tiny").transform(strange_scenes)])
        answers, decision = fitted.predict(X), fitted.decision_function(X)
        np.testing.assert_array_equal(answers == "unknown", decision < 0)
        known = decision >= 0
        best = fitted.classes_[fitted.predict_proba(X).argmax(1)]
        np.testing.assert_array_equal(answers[known], best[known])
        np.testing.assert_allclose(fitted.score_samples(X) - fitted.offset_, decision)

    def test_probabilities_sum_to_one(self, fitted, embedded):
        np.testing.assert_allclose(fitted.predict_proba(embedded[0]).sum(axis=1), 1)

    def test_scores_do_not_depend_on_batches_or_order(self, fitted, embedded):
        X = embedded[0]
        whole = fitted.score_samples(X)
        np.testing.assert_allclose(
            np.concatenate([fitted.score_samples(row[None]) for row in X]), whole, atol=1e-5
        )
        np.testing.assert_allclose(fitted.score_samples(X[::-1])[::-1], whole, atol=1e-5)

    def test_images_of_every_kind_and_embeddings_score_alike(self, fitted, scenes, tmp_path):
        X = scenes[0][:6]
        pictures = [Image.fromarray(x) for x in X]
        paths = []
        for i, picture in enumerate(pictures):
            paths.append(tmp_path / f"{i}.png")
            picture.save(paths[-1])
        expected = fitted.score_samples(CLIPImageEncoder(model="skneg-tiny").transform(X))
        for given in (X, list(X), pictures, paths, [p.read_bytes() for p in paths], pd.Series(paths)):
            np.testing.assert_allclose(fitted.score_samples(given), expected, atol=1e-6)

    def test_a_pipeline_equals_the_detector_on_images(self, scenes):
        X, y = scenes
        pipeline = make_pipeline(CLIPImageEncoder(model="skneg-tiny"), quick()).fit(X, y)
        alone = quick().fit(X, y)
        np.testing.assert_allclose(pipeline.score_samples(X), alone.score_samples(X), atol=1e-6)
        np.testing.assert_array_equal(pipeline.predict(X), alone.predict(X))

    def test_integer_labels_stay_integers(self, embedded):
        X, y = embedded
        numbers = np.searchsorted(sorted(KNOWN), y)
        detector = quick(class_names=sorted(KNOWN)).fit(X, numbers)
        assert set(detector.predict(X)) <= {-1, *range(len(KNOWN))}
        assert detector.predict(X).dtype.kind == "i"
        bytes_ = quick(class_names=sorted(KNOWN)).fit(X, numbers.astype(np.uint8))
        np.testing.assert_array_equal(bytes_.predict(X), detector.predict(X))

    def test_unknown_label_none_never_rejects(self, embedded, strange_scenes):
        detector = quick(unknown_label=None).fit(*embedded)
        assert set(detector.predict(strange_scenes)) <= set(KNOWN)

    def test_a_long_unknown_label_is_not_cut(self, embedded, strange_scenes):
        label = "none of the shapes I know"
        assert label in quick(unknown_label=label).fit(*embedded).predict(strange_scenes)

    def test_a_pickle_carries_no_weights(self, fitted, embedded):
        data = pickle.dumps(fitted)
        joint = fitted.joint_score_
        held = fitted.text_bank_.common, joint.images.whitener, joint.nearest.embeddings
        assert len(data) < 200_000 + sum(array.nbytes for array in held)
        again = pickle.loads(data)
        np.testing.assert_array_equal(again.score_samples(embedded[0]), fitted.score_samples(embedded[0]))


class TestThreshold:
    @pytest.mark.parametrize("evidence", ["both", "text", "images"])
    def test_held_out_images_set_it(self, evidence, embedded):
        detector = quick(evidence=evidence, calibration="holdout").fit(*embedded)
        held_out = detector.calibration_embeddings_
        assert len(held_out) == round(0.2 * len(embedded[0]))
        rejected = (detector.decision_function(held_out) < 0).mean()
        assert rejected <= detector.contamination

    def test_by_default_all_images_set_it_each_without_itself(self, fitted, embedded):
        X, y = embedded
        kept = fitted.calibration_embeddings_
        np.testing.assert_array_equal(kept, X)
        assert fitted.calibration_names_ == y.tolist()
        scores = fitted.calibration_scores_
        assert scores.mean() < fitted.score_samples(X).mean() - 0.1
        assert abs((scores < fitted.offset_).mean() - 0.05) < 0.01

    def test_text_alone_is_cross_fitted_as_well(self, embedded):
        detector = quick(evidence="text").fit(*embedded)
        now = detector.score_samples(embedded[0])
        np.testing.assert_allclose(
            detector.calibration_scores_, np.sort(now + detector.calibration_shift_[:, 0]), rtol=1e-9
        )
        assert detector.calibration_shift_[:, 0].mean() < 0

    def test_too_few_images_warn_or_refuse(self, embedded):
        X, y = (part[::4] for part in embedded)
        with pytest.raises(InputError, match="calibration='holdout'.*needs 19"):
            quick(calibration="holdout").fit(X, y)
        with pytest.warns(CalibrationWarning, match="comes from 14 images"):  # one is alone in its class
            quick().fit(X[:15], y[:15])

    def test_train_calibrates_on_everything(self, embedded):
        detector = quick(calibration="train").fit(*embedded)
        assert len(detector.calibration_embeddings_) == len(embedded[0])


class TestEvidence:
    def test_the_score_joins_words_and_images_as_documented(self, fitted, embedded):
        X = embedded[0]
        bank, joint, t = fitted.text_bank_, fitted.joint_score_, fitted.temperature_
        cosines = [(X @ part.T).astype(np.float64) for part in (bank.positive, bank.negative, bank.common)]
        energies = [t * logsumexp(part / t, axis=1) for part in cosines]
        G, nearest = np.moveaxis(joint.say(X), 2, 0)
        p = softmax(joint.posterior[0] * cosines[0] / t + joint.posterior[1] * G, axis=1)
        first = np.sort(p, axis=1)[:, -1]
        parts = [
            (energies[0] - energies[2] - 0.1 * energies[1]) / t, (p * G).sum(axis=1),
            nearest.max(axis=1), np.log(first / (1 - first)),
        ]  # fmt: skip
        weights = fitted.evidence_weights_
        expected = sum(
            weights[name] * (part - centre) / scale
            for name, part, centre, scale in zip(weights, parts, joint.centres, joint.scales, strict=True)
        )
        sure = first < 1 - 1e-12
        assert sure.sum() > 50
        np.testing.assert_allclose(fitted.score_samples(X)[sure], expected[sure], atol=1e-3)
        np.testing.assert_allclose(fitted.predict_proba(X), p, atol=1e-4)

    @pytest.mark.filterwarnings("ignore:labels and names agree")
    def test_images_help_where_names_mean_nothing(self, embedded, strange_scenes):
        X, y = embedded
        strange = CLIPImageEncoder(model="skneg-tiny").transform(strange_scenes)
        meant = dict(zip(sorted(KNOWN), ["pi", "rho", "tau", "phi", "chi", "psi"], strict=True))
        figures = {}
        for evidence in ("text", "both"):
            detector = quick(
                evidence=evidence, class_names=meant, positive_steps=0, calibration="train"
            ).fit(X[::2], y[::2])  # fmt: skip
            right = detector.classes_[detector.predict_proba(X[1::2]).argmax(axis=1)] == y[1::2]
            scores = detector.score_samples(X[1::2]), detector.score_samples(strange)
            figures[evidence] = auroc(*scores), right.mean()
        assert figures["both"][0] > figures["text"][0] + 0.1
        assert figures["both"][1] > max(0.9, figures["text"][1] + 0.3)
        assert detector.evidence_weights_["text"] < detector.evidence_weights_["images"] == 1

    def test_images_alone_need_no_model_and_no_names(self, embedded, monkeypatch):
        X, y = embedded
        numbers = np.searchsorted(sorted(KNOWN), y)
        detector = NegPromptDetector(model="no such model", evidence="images", random_state=0)
        answers = detector.fit(X, numbers).predict(X)
        assert (answers == numbers).mean() > 0.9
        assert detector.backbone_ is None
        assert detector.set_params(contamination=0.2).calibrate() is detector

    def test_images_alone_take_no_new_names(self, embedded):
        with pytest.raises(VocabularyError, match="'fish' has no images.*leave it out"):
            quick(evidence="images").fit(*embedded).set_vocabulary([*KNOWN, "fish"])

    def test_a_class_without_images_is_known_by_its_name(self, embedded, strange_scenes):
        X, y = embedded
        names = {**{name: name for name in KNOWN}, "fish": "fish"}
        detector = quick(class_names=names).fit(X, y)
        evidence = detector.joint_score_.evidence(X, detector.class_names_)
        assert np.isnan(evidence[:, detector.class_names_.index("fish")]).all()
        fish = make_scenes(30, shapes=["fish"], random_state=3)[0]
        assert (detector.classes_[detector.predict_proba(fish).argmax(axis=1)] == "fish").mean() > 0.6

    @pytest.mark.parametrize("shots", [1, 2])
    def test_few_images_a_class(self, shots, embedded, strange_scenes):
        X, y = embedded
        rows = np.concatenate([np.flatnonzero(y == name)[:shots] for name in KNOWN])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            detector = quick().fit(X[rows], y[rows])
        messages = [str(warning.message) for warning in caught]
        assert any(f"comes from {len(rows)} images" in message for message in messages)
        assert (shots == 1) == any("each class has one image" in message for message in messages)
        strange = CLIPImageEncoder(model="skneg-tiny").transform(strange_scenes)
        assert auroc(detector.score_samples(X), detector.score_samples(strange)) > 0.9

    @pytest.mark.parametrize(
        ("fitted_with", "changed_to"), [("images", "both"), ("both", "images"), ("text", "both")]
    )
    def test_a_changed_evidence_acts_with_the_next_fit(self, fitted_with, changed_to, embedded, tmp_path):
        X = embedded[0]
        detector = quick(evidence=fitted_with).fit(*embedded)
        before, answers = detector.score_samples(X), detector.predict(X)
        detector.set_params(evidence=changed_to)
        detector.set_vocabulary(KNOWN[:3]).set_vocabulary(sorted(KNOWN))
        np.testing.assert_allclose(detector.score_samples(X), before, atol=1e-5)
        np.testing.assert_array_equal(detector.predict(X), answers)
        detector.explain(X[:2])
        detector.save(tmp_path / "a.skneg")
        again = skneg.load(tmp_path / "a.skneg")
        np.testing.assert_array_equal(again.score_samples(X), detector.score_samples(X))

    def test_explain_shows_the_parts(self, fitted, embedded, strange_scenes):
        strange = CLIPImageEncoder(model="skneg-tiny").transform(strange_scenes[:20])
        X = np.concatenate([embedded[0][:20], strange])
        why = fitted.explain(X)
        total = why.text_evidence + why.image_evidence + why.clarity
        np.testing.assert_allclose(total, why.score, atol=1e-9)
        assert (why.image_class[:20] == embedded[1][:20]).mean() > 0.9
        assert why.image_evidence[:20].mean() > why.image_evidence[20:].mean()
        assert "images" in str(why)


class TestWords:
    def test_words_that_mean_a_class_are_left_out(self, embedded):
        words = ["star", "fish", "a star", "ladder"]
        detector = quick(words=Words(words, max_cosine=0.9)).fit(*embedded)
        texts = detector._backbone().text_tower.encode([f"a photo of a {word}" for word in words])
        names = detector._backbone().text_tower.encode([f"a photo of a {name}" for name in KNOWN])
        kept = texts[(texts @ names.T).max(axis=1) < 0.9]
        assert 0 < len(kept) < len(words)
        np.testing.assert_allclose(detector.text_bank_.common, kept, atol=2e-4)  # rounded to float16

    def test_words_follow_the_vocabulary(self, embedded):
        detector = quick(words=["fish", "ladder", "oval"]).fit(*embedded)
        before = len(detector.text_bank_.common)
        detector.set_vocabulary([*KNOWN, "fish"])
        assert len(detector.text_bank_.common) < before

    def test_the_score_is_the_log_odds_of_classes_against_words_and_negatives(self, embedded):
        X, y = embedded
        detector = quick(words=["fish", "ladder", "oval"], negative_weight=0.2, evidence="text").fit(X, y)
        bank, t = detector.text_bank_, detector.temperature_

        def log_sum(side):
            return np.log(np.exp((X @ side.T).astype(np.float64) / t).sum(axis=1))

        odds = log_sum(bank.positive) - log_sum(bank.common) - 0.2 * log_sum(bank.negative)
        np.testing.assert_allclose(detector.score_samples(X), t * odds, atol=1e-5)

    def test_equation_3_counts_words_among_the_negatives(self, embedded):
        X, y = embedded
        detector = quick(words=["fish", "ladder"], score_func="negprompt", evidence="text").fit(X, y)
        bank = detector.text_bank_
        positive, every = (
            X @ bank.positive.T,
            X @ np.concatenate([bank.positive, bank.negative, bank.common]).T,
        )
        expected = np.log(np.exp(positive.max(axis=1)) / np.exp(every).sum(axis=1))
        np.testing.assert_allclose(detector.score_samples(X), expected, atol=1e-5)

    def test_no_words_no_outliers(self, embedded):
        detector = quick(words=None).fit(*embedded)
        assert detector.text_bank_.common.shape == (0, 128)
        assert "negative/outliers" not in detector.history_

    @pytest.mark.parametrize(
        ("words", "message"),
        [("nouns!", "one string"), ([], "empty"), (["a", 3], r"words\[1\]"), (["a", "a"], "twice")],
    )
    def test_unusable_words_are_named(self, embedded, words, message):
        with pytest.raises(SknegError, match=message):
            quick(words=words).fit(*embedded)


class TestRecipes:
    def test_what_was_fitted_scores_whatever_the_parameter_says_now(self, embedded):
        X, y = embedded
        detector = quick().fit(X, y)
        before = detector.score_samples(X)
        np.testing.assert_array_equal(detector.set_params(recipe__n_negative=1).score_samples(X), before)

    def test_an_anchor_keeps_the_positives_at_the_hand_written_prompt(self, embedded):
        zero_shot = MCMDetector(model="skneg-tiny").fit(*embedded).text_bank_.positive

        def distance(weight):
            positive = quick(anchor_weight=weight).fit(*embedded).text_bank_.positive
            return 1 - np.mean(np.sum(positive * zero_shot, axis=1))

        assert distance(1000.0) < distance(0.0) / 2

    @pytest.mark.parametrize("start", ["random", "not a photo of a"])
    def test_negatives_may_start_elsewhere(self, embedded, fitted, start):
        detector = quick(negative_init=start).fit(*embedded)
        n_ctx = {"random": 4, "not a photo of a": 5}[start]
        assert detector.negative_context_.shape == (2, n_ctx, 64)
        assert detector.text_bank_.negative.shape == fitted.text_bank_.negative.shape
        assert quick(negative_init=start, one_stage=True).fit(*embedded).history_["joint/nis"].shape == (15,)

    def test_epochs_count_batches(self, embedded):
        X, y = embedded
        detector = quick(step_unit="epochs", positive_steps=2, negative_steps=1, train_batch_size=40)
        detector.fit(X, y)
        per_epoch = -(-len(X) // 40)
        assert len(detector.history_["positive/total"]) == 2 * per_epoch
        assert len(detector.history_["negative/total"]) == per_epoch

    def test_the_paper_s_recipe_has_nothing_of_ours(self, embedded):
        X, y = embedded
        detector = NegPromptDetector.paper(model="skneg-tiny", random_state=0, recipe__positive_steps=2).fit(
            X, y
        )
        assert set(detector.history_) == {
            "positive/cross_entropy", "positive/total",
            "negative/nis", "negative/npd", "negative/nnd", "negative/total",
        }  # fmt: skip
        bank = detector.text_bank_
        positive, negative = X @ bank.positive.T, X @ bank.negative.T
        share = np.exp(positive.max(axis=1)) / (np.exp(positive).sum(axis=1) + np.exp(negative).sum(axis=1))
        np.testing.assert_allclose(detector.score_samples(X), np.log(share), atol=1e-5)
        recipes = NegPromptDetector.paper().recipe, NegPromptDetector.released().recipe
        assert [recipe.nis_over for recipe in recipes] == ["negatives", "all"]
        assert NegPromptDetector.released(recipe__beta=0.5).recipe.beta == 0.5

    def test_a_part_of_the_default_recipe_can_be_set_without_touching_the_default(self):
        detector = NegPromptDetector().set_params(recipe__n_negative=5)
        assert detector.recipe.n_negative == 5
        assert NegPromptDetector.default_recipe.n_negative == 2


class TestVocabulary:
    def test_new_names_need_no_image(self, fitted, strange_scenes, scenes):
        moved = copy.deepcopy(fitted).set_vocabulary(STRANGE)
        assert moved.classes_.tolist() == sorted(STRANGE)
        assert moved.text_bank_.negative.shape == (2 * len(STRANGE), 128)
        assert auroc(moved.score_samples(strange_scenes), moved.score_samples(scenes[0])) > 0.7
        assert set(moved.predict(strange_scenes)) <= {*STRANGE, "unknown"}

    def test_going_back_restores_everything(self, fitted, embedded):
        moved = copy.deepcopy(fitted).set_vocabulary(STRANGE).set_vocabulary(fitted.class_names_)
        assert moved.offset_ == pytest.approx(fitted.offset_, abs=1e-6)
        np.testing.assert_allclose(
            moved.score_samples(embedded[0]), fitted.score_samples(embedded[0]), atol=1e-5
        )

    def test_the_threshold_follows_a_larger_vocabulary(self, fitted, embedded):
        larger = copy.deepcopy(fitted).set_vocabulary([*KNOWN, *STRANGE])
        assert larger.offset_ < fitted.offset_  # more names, smaller shares
        assert (larger.decision_function(embedded[0]) < 0).mean() < 0.2

    def test_constructor_parameters_stay(self, embedded):
        detector = quick(class_names=KNOWN).fit(*embedded)
        detector.set_vocabulary(STRANGE)
        assert detector.class_names == KNOWN

    def test_classes_without_images(self, embedded, strange_scenes):
        detector = quick().fit(*embedded, class_names=[*KNOWN, *STRANGE])
        assert set(detector.classes_) == {*KNOWN, *STRANGE}
        np.testing.assert_array_equal(detector.positive_context_, quick().fit(*embedded).positive_context_)
        assert set(detector.predict(strange_scenes)) & set(STRANGE)

    def test_numbers_get_numbers(self, embedded):
        X, y = embedded
        detector = quick(class_names=sorted(KNOWN)).fit(X, np.searchsorted(sorted(KNOWN), y))
        assert detector.set_vocabulary(STRANGE).classes_.tolist() == [0, 1, 2, 3]
        assert detector.set_vocabulary({7: "fish", 3: "tree"}).classes_.tolist() == [3, 7]

    def test_class_specific_contexts_refuse_new_names(self, embedded):
        detector = quick(shared=False).fit(*embedded)
        assert detector.negative_context_.shape == (2, len(KNOWN), 4, 64)
        before = detector.score_samples(embedded[0])
        with pytest.raises(VocabularyError, match="'fish' has no context.*shared=True"):
            detector.set_vocabulary([*KNOWN, "fish"])
        np.testing.assert_array_equal(detector.score_samples(embedded[0]), before)
        assert detector.set_vocabulary(KNOWN[:3]).text_bank_.positive.shape == (3, 128)

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (["a", "a"], "duplicate"),
            (["a", ""], "empty"),
            (["a"], "at least 2"),
            (["a", "b " * 40], "does not fit"),
        ],
    )
    def test_bad_names_change_nothing(self, fitted, names, message):
        state = dict(vars(fitted))
        with pytest.raises(VocabularyError, match=message):
            fitted.set_vocabulary(names)
        assert vars(fitted) == state


def spoiled(X, **changes):
    X = X.copy()
    for row, value in changes.items():
        X[int(row[1:])] = value
    return X


class TestBadInput:
    def test_the_unknown_label_cannot_become_a_class(self, fitted):
        with pytest.raises(VocabularyError, match="unknown_label='unknown'"):
            fitted.set_vocabulary(["unknown", "star"])

    def test_embeddings_of_any_scale_score_alike(self, fitted, embedded):
        X = embedded[0].astype(np.float64)
        expected = fitted.score_samples(X)
        for scale in (1e-30, 1e30):
            np.testing.assert_allclose(fitted.score_samples(X * scale), expected, atol=2e-5)

    @pytest.mark.parametrize(
        ("X", "message"),
        [
            (np.zeros((0, 128)), "0 sample"),
            (np.ones((2, 100)), "100 features"),
            (list(np.ones((2, 128))), "numpy.stack"),
            (csr_matrix(np.ones((2, 128))), "Sparse"),
        ],
    )
    def test_unusable_embeddings_are_typed_errors(self, fitted, X, message):
        with pytest.raises(SknegError, match=message):
            fitted.predict(X)

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            (lambda X, y: (X, y[:-1]), InputError, "120 images, 119 labels"),
            (lambda X, y: (spoiled(X, r5=np.nan), y), InputError, "NaN.*row 5"),
            (lambda X, y: (spoiled(X, r7=np.inf), y), InputError, "infinity.*row 7"),
            (lambda X, y: (spoiled(X, r3=0), y), InputError, "zeros.*row 3"),
            (lambda X, y: (X[:, :100], y), InputError, "100 columns.*'skneg-tiny' embeds in 128"),
            (lambda X, y: (X, np.full(len(y), "star")), VocabularyError, "1 class"),
            (lambda X, y: (X, np.unique(y, return_inverse=True)[1]), VocabularyError, "class_names"),
            (lambda X, y: (X, np.full(len(y), "unknown")), InputError, "no known class"),
            (lambda X, y: ([*["gone.png"], *[b""] * 119], y), ImageError, "image 0 .'gone.png'"),
        ],
    )  # fmt: skip
    def test_fit_names_the_culprit_and_changes_nothing(self, embedded, change, error, message):
        detector = quick().fit(*embedded)
        state = dict(vars(detector))
        with pytest.raises(error, match=message) as caught:
            detector.fit(*change(*embedded))
        assert isinstance(caught.value, SknegError)
        assert vars(detector) == state

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (["a", "b"], "6 classes, but class_names has 2"),
            (["a", "b", "c", "d", "e", "a"], "duplicate class name 'a'"),
            (["a", "b", "c", "d", "e", ""], "empty"),
            (["a", "b", "c", "d", "e", "f " * 40], "does not fit"),
        ],
    )
    def test_bad_class_names_are_named(self, embedded, names, message):
        detector = quick()
        with pytest.raises(VocabularyError, match=message):
            detector.fit(*embedded, class_names=names)
        assert not hasattr(detector, "classes_")

    @pytest.mark.parametrize(
        "method", ["predict", "predict_proba", "score_samples", "decision_function", "set_vocabulary"]
    )
    def test_unfitted_use_is_refused(self, method, embedded):
        with pytest.raises(NotFittedError):
            getattr(quick(), method)(embedded[0])

    @pytest.mark.parametrize(
        "parameter",
        [
            {"n_negative": 0}, {"beta": -1}, {"gamma": "x"}, {"learning_rate": 0}, {"contamination": 1},
            {"score_temperature": 0}, {"train_temperature": -1}, {"nis_over": "positives"}, {"n_ctx": 0},
            {"batch_size": 0}, {"calibration": "none"}, {"calibration": 0.0}, {"positive_steps": -1},
            {"negative_noise": -1}, {"train_batch_size": 1.5}, {"shared": "false"}, {"context_init": 5},
            {"random_state": "x"}, {"device": "abacus"},
        ],
        ids=lambda parameter: next(iter(parameter)),
    )  # fmt: skip
    def test_bad_parameters_are_named(self, embedded, parameter):
        with pytest.raises(InputError, match=next(iter(parameter))):
            quick(**parameter).fit(*embedded)

    def test_n_ctx_must_fit_the_text_it_starts_from(self, embedded):
        with pytest.raises(InputError, match="n_ctx=7.*4 tokens"):
            quick(n_ctx=7).fit(*embedded)

    def test_an_unreadable_image_is_named_in_predict(self, fitted, scenes):
        with pytest.raises(ImageError, match="image 2 ") as caught:
            fitted.predict([*scenes[0][:2], b"broken"])
        assert caught.value.index == 2

    def test_a_name_shared_by_unknown_label_is_refused(self, embedded):
        with pytest.raises(VocabularyError, match="unknown_label='star'"):
            quick(unknown_label="star").fit(*embedded, class_names=KNOWN)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return f"skneg-tiny+timm:local-dir:{saved(tmp_path_factory.mktemp('two') / 'model')}"


@pytest.fixture(scope="module")
def joined(pair, scenes):
    return quick(model=pair, words=["circle", "cloud"]).fit(*scenes)


class TestTwoModels:
    """Words and one image part from CLIP, the other image part from a model of timm."""

    def test_each_has_its_own_evidence_and_a_blind_one_counts_for_little(self, joined):
        images = joined.joint_score_.images
        assert isinstance(images, PairedEvidence)
        assert (len(images.first.centre), len(images.second.centre)) == (128, 64)
        assert images.weights[0] > 0.7  # the other is random

    def test_the_text_part_is_clip_s(self, joined, scenes, embedded, strange_scenes):
        alone = quick(words=["circle", "cloud"]).fit(*scenes)
        state, Z = joined._see(strange_scenes)
        _, of_clip = alone._see(strange_scenes)
        ours, logits, _ = joined._parts(state, Z)
        expected, logits_of_clip, _ = alone._parts(alone._state, of_clip)
        np.testing.assert_allclose(ours[:, 0], expected[:, 0], rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(logits, logits_of_clip, rtol=1e-3, atol=1e-3)

    def test_it_keeps_the_promises_of_any_detector(self, joined, scenes, strange_scenes, tmp_path):
        X, y = scenes
        assert (joined.predict(X) == y).mean() > 0.8
        assert auroc(joined.score_samples(X), joined.score_samples(strange_scenes)) > 0.9
        assert (joined.predict(X) == "unknown").mean() <= 0.1
        p = joined.p_values(X)
        np.testing.assert_array_equal(p <= joined.contamination, joined.decision_function(X) < 0)
        joined.save(tmp_path / "a.skneg")
        again = skneg.load(tmp_path / "a.skneg")
        for one, other in ((again, joined), (pickle.loads(pickle.dumps(joined)), joined)):
            np.testing.assert_array_equal(one.score_samples(X[:9]), other.score_samples(X[:9]))
        assert len(joined.explain(strange_scenes[:3])) == 3
        assert "skneg-tiny+timm" in joined.summary()

    def test_images_of_new_classes_go_into_both(self, joined, strange_scenes):
        moved = copy.deepcopy(joined)
        labels = np.array(["fish", "ladder", "crown", "tree"] * 2)
        moved.set_vocabulary([*KNOWN, *labels[:4]], strange_scenes[:8], labels)
        images = moved.joint_score_.images
        assert images.first.counts.tolist() == images.second.counts.tolist() == [20] * 6 + [2] * 4

    def test_embeddings_side_by_side_are_taken_too(self, joined, pair, scenes):
        Z = CLIPImageEncoder(model=pair).transform(scenes[0])
        of_rows = quick(model=pair, words=["circle", "cloud"]).fit(Z, scenes[1])
        np.testing.assert_array_equal(of_rows.score_samples(Z), joined.score_samples(scenes[0]))
        images_alone = quick(model=pair, evidence="images").fit(Z, scenes[1])
        assert isinstance(images_alone.joint_score_.images, PairedEvidence)
        with pytest.raises(InputError, match="128 columns.*192 dimensions"):
            quick(model=pair).fit(Z[:, :128], scenes[1])
        with pytest.raises(InputError, match="two models have 128 and 64 columns, X has 100"):
            quick(model=pair, evidence="images").fit(Z[:, :100], scenes[1])
