"""The benchmark of evaluation times what it says: photos from their files, and the bare model."""

from experiments.benchmarks import evaluation


def test_every_photo_is_encoded_anew(monkeypatch):
    passes, encode = [], evaluation.encode_photos

    def counted(*arguments):
        found = encode(*arguments)
        passes.append(found.passes)
        return found

    monkeypatch.setattr(evaluation, "encode_photos", counted)
    assert min(evaluation.encoded("cpu", photos=2, batch=2)) > 0
    assert passes == [2] * evaluation.REPEATS
