"""The benchmark of evaluation times what it says: photos from their files, and the bare model."""

from experiments.benchmarks import evaluation


def test_every_photo_is_encoded_anew(monkeypatch):
    passes, encode = [], evaluation.encode_photos

    def counted(*arguments):
        found = encode(*arguments)
        passes.append(found.passes)
        return found

    monkeypatch.setattr(evaluation, "encode_photos", counted)
    for tar in (False, True):
        assert min(evaluation.encoded("cpu", tar, photos=2, batch=2)) > 0
    assert passes == [2] * (2 * evaluation.REPEATS)


def test_what_is_kept_is_summed_up_without_a_model():
    assert evaluation.cached(photos=200, labels=60, width=8) > 0
