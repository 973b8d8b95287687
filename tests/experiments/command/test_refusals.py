"""One table of wrong requests: each gets a sentence with the value and a way on, and status 2; a
failed run has 1.
"""

import pytest

CLAIM = (
    "Claim(id='c', source='me', statement='', quantity='counter', relation='>=', domain={'p_spu':"
    " .9})"
)
TEXTS = {  # files beside the command
    "misspelt.toml": "p_spuu = 0.9",
    "attribute.toml": "[[attribute]]\nsigma = -1.0",
    "nested.toml": "a = " + "[" * 3000,  # too deep for Python's parser
    "grid.toml": "[world]\np_spu = [0.5, 0.9]",
    "taken": "mine",
    "thesis.svg": "<svg>mine</svg>",
    "raises.py": "x = 1\n\nraise RuntimeError('no')\n",
    "syntax.py": "x = (\n",
    "empty.py": "x = 1\n",
    "exits.py": "import sys\nsys.exit(3)\n",
    "domain.py": "from theory import Claim\nc = " + CLAIM.replace("p_spu", "p"),
    "twice.py": f"from theory import Claim\na = {CLAIM}\nb = {CLAIM}\n",
}
REFUSALS = [  # command line, a part of the sentence, status
    ("--bogus", "--bogus", 2),
    (
        "predct",
        "'predct' is not a verb of soberclip; the nearest is predict; soberclip --help lists them",
        2,
    ),
    (
        "predict wang",
        "soberclip predict has no use for 'wang'; soberclip predict --help lists its options",
        2,
    ),
    ("predict --p-spuu 1", "mean --p-spu?", 2),
    ("predict --p-spu high", '--p-spu: unable to convert "high" into float', 2),
    ("predict --p-spu 90", "p_spu = 90.0 lies outside [0, 1]; 90 % is 0.9", 2),
    ("predict --learner infonce --sigma-xi 0 --output new", "infonce: sigma_xi = 0", 2),
    ("predict --prompt typcal", "typical", 2),
    (
        "predict --start .1",
        "--start = 0.1 has no meaning at the optimum, which --time = inf reaches",
        2,
    ),
    (
        "predict --mitigate early-stopping",
        "train --loss linear --towers linear --mitigate early-stopping",
        2,
    ),
    ("predict --mitigate dfr --embed-dim 1", "linear and logistic have one, at full width", 2),
    ("predict --table /dev/zero", "more than 16,777,216 bytes", 2),
    ("predict --world missing.toml", "missing.toml", 2),
    (
        "predict --world misspelt.toml",
        "misspelt.toml: p_spuu is not a field of a world; the nearest is 'p_spu'",
        2,
    ),
    ("predict --world attribute.toml", "attribute.toml: attribute.0.sigma = -1.0", 2),
    ("predict --world nested.toml", "'nested.toml' is not TOML", 2),
    ("simulate --n", "--n", 2),
    ("simulate --n 1e13", "--n = 10000000000000 lies outside [2, 1000000000000]", 2),
    ("simulate --seed 9223372036854775808", "the nearest valid value is 9223372036854775807", 2),
    ("simulate --method direct --n 1e12", "exact", 2),
    (
        "simulate --learner bayes",
        "--learner = bayes is not fitted to pairs; choose from linear, logistic",
        2,
    ),
    ("simulate --learner logistic --n 1e12", "use fewer pairs or replicates", 2),
    ("simulate --learner logistic --method exact", "the nearest choice is direct", 2),
    ("simulate --learner least-squares --method exact", "in worlds of this shape", 2),
    ("simulate --learner logistic --n 20 --replicates 1", "separable", 1),
    ("simulate --learner max-margin --n 4000 --dim-image 2 --replicates 1", "not separable", 1),
    ("train --temperature 0", "temperature = 0", 2),
    ("train --ensemble 1e7", "[1, 1000000]; the nearest valid value is 1000000", 2),
    (
        "train --device cuda:7",
        "device 'cuda:7' is not available here; the nearest valid choice is cpu",
        2,
    ),
    ("train --resume a --output b", "leave --output", 2),
    (
        "train --history -1",
        "--history = -1 lies outside [0, 1000]; the nearest valid value is 0",
        2,
    ),
    ("plot", "--store", 2),
    ("plot none.zarr --learner bayes", "--learner 'bayes' is not FILE.py:CLASS", 2),
    ("show -o thesis.svg", "thesis", 2),
    ("show -o world.toml", "'.toml'", 2),
    ("show --seed -1", "seed = -1", 2),
    ("check wang-lemma", "'wang-lemma-d3'", 2),
    ("check no-such-claim", "claim 'no-such-claim' is unknown; soberclip claims lists them", 2),
    ("check mine.py", "as in --claims mine.py", 2),
    ("check --error-rate 2", "--error-rate = 2", 2),
    (
        "check counteranimal/clip-drops --latex thesis.svg",
        "was not written by soberclip check --latex",
        2,
    ),
    ("check --claims raises.py", "line 3: RuntimeError: no", 2),
    ("check --claims syntax.py", "line 1: SyntaxError", 2),
    ("check --claims empty.py", "empty.py", 2),
    ("check --claims exits.py", "line 2: SystemExit: 3", 2),
    ("check --claims domain.py", "domain.py, line 2: ValueError: domain", 2),
    ("check --claims twice.py", "'c'", 2),
    *(
        (f"{verb} --output {file}", f"{file}'", 2)
        for verb in ("predict", "simulate", "check", "reproduce")
        for file in ("taken", "taken/deeper", 300 * "n")
    ),
    ("sweep sorces", "the nearest is sources", 2),
    ("sweep sources.tml", "'sources.tml'", 2),
    ("sweep mine.toml --full", "--full", 2),
    ("sweep grid.toml", "the world's arrays make a grid of shape (2,)", 2),
    ("sweep --full", "--full", 2),
    ("sweep --axis p_spu=.6,.9 --p-spu .7", "--p-spu", 2),
    ("sweep --axis p_spu=.6,.9 --axis p-spu=.5,.6", "'p_spu'", 2),
    ("sweep --axis p_spu=.6,.9 -o s4://bucket/a.zarr", "'s4://bucket/a.zarr'", 2),
    (
        "sweep --axis start=.1,.2",
        "start has no meaning at the optimum; an axis of time leaves it",
        2,
    ),
    ("finetune --root val2017", "--model open_clip:", 2),
    ("finetune --root val2017 --model open_clip:a --learner objbg", "'objbg'", 2),
    ("finetune --root val2017 --model open_clip:a --axis p_spu=.5,.9", "axis 'p_spu'", 2),
    ("finetune --root val2017 --model open_clip:a --mention-spu .5", "mention_spu", 2),
    ("finetune --root val2017 --model open_clip:a --lr 1e-5 --axis lr=1e-4", "--lr", 2),
    ("finetune --root val2017 --model open_clip:a --towers mlp", "--towers", 2),
    ("sweep --workers 1000", "workers = 1000 lies outside [1, ", 2),
    (
        "sweep --workers 2 --scheduler tcp://a:1",
        "workers = 2 and scheduler = 'tcp://a:1' are both given",
        2,
    ),
    ("counteranimal compose", "--objects", 2),
    ("counteranimal score", "no predictions", 2),
    ("counteranimal score p.csv", "p.csv", 2),
    ("counteranimal inspect no", "there is no folder", 2),
    ("counteranimal discover --data no --model torchvision:resnet50", "there is no folder", 2),
    (
        "counteranimal discover --data . --model timm:resnet18 --min-photos 1",
        "nearest valid value is 2",
        2,
    ),
    ("counteranimal evaluate --data no --model torchvision:resnet50", "there is no folder", 2),
    *(
        (f"counteranimal evaluate --data . --model torchvision:resnet50 {flags}", part, 2)
        for flags, part in (
            ("--prompts openai8", "openai80"),
            ("--batch-size 0", "--batch-size = 0"),
            ("--weights a --weights b", "2 --weights"),
            ("--seed -1", "seed = -1"),
            ("--reference timm:resnet50", "--reference"),
            ("--labels own", "--classes"),
            ("--quick-gelu on", "applies only to open_clip: models"),
        )
    ),
]


@pytest.mark.parametrize(("line", "part", "status"), REFUSALS, ids=[line for line, *_ in REFUSALS])
def test_refusals(soberclip, tmp_path, monkeypatch, line, part, status):
    here = tmp_path / "here"  # beside the cache, where libraries write when they are imported
    here.mkdir()
    monkeypatch.chdir(here)
    for name, text in TEXTS.items():
        if name in line:
            (here / name).write_text(text)
    before = {path: path.read_bytes() for path in here.iterdir()}
    run = soberclip(*line.split(), *([] if line == "--bogus" else ["--json"]))
    assert (run.status, run.out) == (status, "")
    assert run.err.startswith("soberclip: ")
    assert len(run.err.splitlines()) == 1, "a request that is refused says nothing else"
    assert part in run.err
    assert {path: path.read_bytes() for path in here.iterdir()} == before, (
        "a wrong request writes nothing"
    )
